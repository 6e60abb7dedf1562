-- The check of haproxy.cfg: asks rally-api-keys about a request, sets the headers for the CRM, or refuses.

-- A key beyond its limits gets 429. To require more than the method does: /forward-auth?limited=429&scope=admin
local CHECK = "http://127.0.0.1:8080/forward-auth?limited=429"

-- HAProxy tries four times, so an absent or frozen service costs a request four times as long: 5 s.
local TIMEOUT_MS = 1250

-- Of the client's request. Host names the tenant.
local FOR_THE_CHECK = {
    "host", "authorization", "x-api-key", "x-request-id", "x-forwarded-for", "x-forwarded-proto", "user-agent",
    "origin", "traceparent", "tracestate",
}
local FOR_THE_CRM = {
    "x-rally-tenant", "x-rally-tenant-id", "x-rally-principal", "x-rally-scopes", "x-rally-key-id",
    "x-rally-key-expires",
}
-- Of the connection between HAProxy and the service.
local NOT_FOR_THE_CLIENT = {
    ["connection"] = true, ["content-length"] = true, ["date"] = true, ["keep-alive"] = true,
    ["transfer-encoding"] = true,
}

local function refuse(txn, status, headers, body)
    local reply = txn:reply{ status = status, body = body }
    for name, values in pairs(headers) do
        for _, value in pairs(values) do
            reply:add_header(name, value)
        end
    end
    txn:done(reply)
end

local function refuse_without_an_answer(txn)
    local headers = {
        ["content-type"] = { "application/problem+json" },
        ["x-rally-error"] = { "check_unavailable" },
        ["retry-after"] = { "1" },
        ["cache-control"] = { "no-store" },
    }
    refuse(txn, 503, headers,
        '{"type":"tag:rallycrm.io,2026:problem:check_unavailable","title":"Service Unavailable","status":503,'
        .. '"detail":"The API key could not be checked. Try again in a moment.","code":"check_unavailable"}')
end

core.register_action("rally_auth", { "http-req" }, function(txn)
    local request = txn.http:req_get_headers()
    local headers = { ["x-forwarded-method"] = { txn.sf:method() } }
    for _, name in ipairs(FOR_THE_CHECK) do
        headers[name] = request[name]
    end
    local response = core.httpclient():get{ url = CHECK, headers = headers, timeout = TIMEOUT_MS }
    local check = response.headers or {}

    if response.status == 200 and check["x-rally-tenant"] then
        for _, name in ipairs(FOR_THE_CRM) do
            local value = check[name] and check[name][0] or ""
            if value ~= "" then
                txn.http:req_set_header(name, value)
            end
        end
        -- For the client: the end of its key, whether it uses the previous secret of a rotation, and what is left of
        -- its rate limit.
        for _, name in ipairs({ "x-rally-key-expires", "deprecation", "sunset", "ratelimit", "ratelimit-policy" }) do
            if check[name] and check[name][0] ~= "" then
                txn:set_var("txn." .. name:gsub("-", "_"), check[name][0])
            end
        end
        txn:set_var("txn.rally_allowed", true)
    elseif check["x-rally-error"] then
        for name in pairs(NOT_FOR_THE_CLIENT) do
            check[name] = nil
        end
        refuse(txn, response.status, check, response.body)
    else
        refuse_without_an_answer(txn)
    end
end)
