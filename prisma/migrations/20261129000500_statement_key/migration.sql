-- The public keys that usage statements were ever signed with. The private ones are derived from the root secret and kept nowhere;
-- once a root key is taken off the list, what it signed can still be verified by what stands here.
--
-- Old code can run beside it: it signs nothing.

CREATE TABLE "statement_key" (
    "id" TEXT NOT NULL,
    "public_key" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "statement_key_pkey" PRIMARY KEY ("id")
);
