-- Made from the repository's root: luarocks make gateways/kong/kong-plugin-tollgate-0.1.0-1.rockspec
package = "kong-plugin-tollgate"
version = "0.1.0-1"
source = { url = "git+file://." }
description = {
  summary = "API keys, usage plans, throttles, quotas and metering of Tollgate for Kong",
  license = "Apache-2.0",
}
dependencies = { "lua >= 5.1" }
build = {
  type = "builtin",
  modules = {
    ["kong.plugins.tollgate.handler"] = "gateways/kong/kong/plugins/tollgate/handler.lua",
    ["kong.plugins.tollgate.schema"] = "gateways/kong/kong/plugins/tollgate/schema.lua",
    ["tollgate.answer"] = "gateways/openresty/lib/tollgate/answer.lua",
    ["tollgate.breaker"] = "gateways/openresty/lib/tollgate/breaker.lua",
    ["tollgate.canonical_path"] = "gateways/openresty/lib/tollgate/canonical_path.lua",
    ["tollgate.decision_log"] = "gateways/openresty/lib/tollgate/decision_log.lua",
    ["tollgate.epoch"] = "gateways/openresty/lib/tollgate/epoch.lua",
    ["tollgate.events"] = "gateways/openresty/lib/tollgate/events.lua",
    ["tollgate.gateway"] = "gateways/openresty/lib/tollgate/gateway.lua",
    ["tollgate.http"] = "gateways/openresty/lib/tollgate/http.lua",
    ["tollgate.ip_policy"] = "gateways/openresty/lib/tollgate/ip_policy.lua",
    ["tollgate.leases"] = "gateways/openresty/lib/tollgate/leases.lua",
    ["tollgate.policies"] = "gateways/openresty/lib/tollgate/policies.lua",
    ["tollgate.records"] = "gateways/openresty/lib/tollgate/records.lua",
    ["tollgate.router"] = "gateways/openresty/lib/tollgate/router.lua",
    ["tollgate.units"] = "gateways/openresty/lib/tollgate/units.lua",
    ["tollgate.usage"] = "gateways/openresty/lib/tollgate/usage.lua",
  },
}
