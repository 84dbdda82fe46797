local typedefs = require "kong.db.schema.typedefs"

return {
  name = "tollgate",
  fields = {
    -- The plugin judges the caller's key itself, for a service or route as a whole.
    { consumer = typedefs.no_consumer },
    { protocols = typedefs.protocols_http },
    {
      config = {
        type = "record",
        fields = {
          { url = typedefs.url({ required = true }) },
          { token = { type = "string", required = true, encrypted = true, referenceable = true, len_min = 1 } },
          { api_id = { type = "string", required = true, len_min = 1 } },
          { stage = { type = "string", required = true, len_min = 1 } },
          { protocol = { type = "string", required = true, default = "REST", one_of = { "REST", "HTTP" } } },
          { cost = { type = "integer", required = true, default = 1, between = { 0, 1000000 } } },
          { deadline_ms = { type = "integer", required = true, default = 200, between = { 1, 60000 } } },
          { on_failure = { type = "string", required = true, default = "deny", one_of = { "deny", "allow" } } },
          -- Kong's defaults drop after a minute what cannot be sent. A batch is at most 10,000 records.
          {
            queue = typedefs.queue({
              default = { max_batch_size = 1000, max_entries = 100000, max_retry_time = 86400, max_retry_delay = 10 },
            }),
          },
        },
      },
    },
  },
}
