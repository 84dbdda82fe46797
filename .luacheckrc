std = "ngx_lua"
max_line_length = 130
include_files = { "gateways/**/*.lua", "test/**/*.lua" }
exclude_files = { "node_modules" }
files["gateways/kong"] = { globals = { "kong" }, self = false }
files["test/gateways/kong"] = { globals = { "kong" } }
files["gateways/haproxy"] = { std = "lua53", read_globals = { "core" } }
