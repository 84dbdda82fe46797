-- Asks Tollgate whether a call may pass: `http-request lua.tollgate`, for HAProxy >= 2.6. See README.md.
--
-- Sets txn.tollgate_decision to allowed, refused or unavailable, and what the decision says in txn.tollgate_*.
-- Refused calls are answered here, as Amazon API Gateway would; so are undecided ones, unless TOLLGATE_ON_FAILURE is allow.

local function setting(name)
    local value = os.getenv(name)
    if value == nil or value == '' then error(name .. ' is not set') end
    return value
end

local api, stage, token = setting('TOLLGATE_API_ID'), setting('TOLLGATE_STAGE'), setting('TOLLGATE_GATEWAY_TOKEN')
local is_open = setting('TOLLGATE_ON_FAILURE') == 'allow'
-- The backend tollgate_service of haproxy.cfg keeps the connections, and the deadline.
local socket = 'abns@' .. setting('TOLLGATE_SOCKET')
local url = 'http://tollgate/v1/forward-auth/' .. api .. '/' .. stage .. '/haproxy'

-- Variables of the transaction, by the answer's headers.
local told = {
    ['x-tollgate-key-id'] = 'txn.tollgate_key_id',
    ['x-tollgate-customer-id'] = 'txn.tollgate_customer_id',
    ['x-tollgate-decision-id'] = 'txn.tollgate_decision_id',
    ['x-tollgate-resource-path'] = 'txn.tollgate_resource_path',
    ['x-tollgate-shadowed'] = 'txn.tollgate_shadowed',
    ['x-tollgate-time'] = 'txn.tollgate_time',
    ['ratelimit'] = 'txn.tollgate_ratelimit',
    ['ratelimit-policy'] = 'txn.tollgate_ratelimit_policy',
}
-- Headers of a refusal that the client is shown.
local shown = { 'x-amzn-errortype', 'retry-after', 'ratelimit', 'ratelimit-policy' }
local reasons = { [403] = 'Forbidden', [429] = 'Too Many Requests', [503] = 'Service Unavailable' }

local function answer(txn, status, message, headers)
    local reply = txn:reply()
    reply:set_status(status, reasons[status])
    reply:add_header('content-type', 'application/json')
    for name, value in pairs(headers) do reply:add_header(name, value) end
    reply:set_body(message)
    txn:done(reply)
end

local function unavailable(txn)
    txn:set_var('txn.tollgate_decision', 'unavailable')
    if is_open then return end
    local headers = { ['x-amzn-ErrorType'] = 'ServiceUnavailableException', ['Retry-After'] = '1' }
    answer(txn, 503, '{"message":"Service Unavailable"}', headers)
end

core.register_action('tollgate', { 'http-req' }, function(txn)
    local headers = {
        ['x-tollgate-token'] = { token },
        ['x-forwarded-method'] = { txn.f:method() },
        ['x-forwarded-uri'] = { txn.f:url() },
        ['x-forwarded-for'] = { txn.f:src() },
    }
    -- All of them: two keys are refused, and the service says so.
    local keys = txn.http:req_get_headers()['x-api-key']
    if keys ~= nil then
        local all = { keys[0] }
        for index = 1, #keys do all[#all + 1] = keys[index] end
        headers['x-api-key'] = all
    end
    local response = core.httpclient():get({ url = url, headers = headers, dst = socket })
    local status = response and response.status or 0
    if status == 0 or status >= 500 then return unavailable(txn) end

    for name, variable in pairs(told) do
        local values = response.headers[name]
        if values ~= nil and values[0] ~= '' then txn:set_var(variable, values[0]) end
    end
    if status == 200 then
        txn:set_var('txn.tollgate_decision', 'allowed')
        return
    end
    txn:set_var('txn.tollgate_decision', 'refused')
    if status ~= 403 and status ~= 429 then
        -- The service would not take the question: never passed.
        return answer(txn, 403, '{"message":"Forbidden"}', { ['x-amzn-ErrorType'] = 'ForbiddenException' })
    end
    local reply = {}
    for _, name in ipairs(shown) do
        local values = response.headers[name]
        if values ~= nil then reply[name] = values[0] end
    end
    answer(txn, status, response.body, reply)
end)
