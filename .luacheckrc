std = "ngx_lua"
max_line_length = 130
include_files = { "gateways/**/*.lua" }
exclude_files = { "node_modules" }
files["gateways/kong"] = { read_globals = { "kong" } }
files["gateways/haproxy"] = { std = "lua53", read_globals = { "core" } }
