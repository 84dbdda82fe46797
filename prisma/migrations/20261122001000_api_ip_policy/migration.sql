-- Who may call an api, as lists of addresses and CIDR blocks. Null: everybody. Old code runs beside it and does not look.
ALTER TABLE "api" ADD COLUMN "ip_policy" JSONB;
