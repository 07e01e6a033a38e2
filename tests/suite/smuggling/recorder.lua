-- Leaves a request's body, in hexadecimal digits, to Apache's access log. Of methods other than these, mod_lua does not
-- tell the body.
function handle(r)
    if r.method == "POST" or r.method == "PUT" then
        local body = r:requestbody() or ""
        r.notes["body"] = "=" .. body:gsub(".", function(c) return string.format("%02x", c:byte()) end)
    end
    r.content_type = "text/plain"
    r:puts("fine")
    return apache2.OK
end
