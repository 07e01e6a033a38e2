// A server that logs what it got as nginx and Apache are told to: id, request line, status, and in hexadecimal digits the
// header (names and values, a line for each) and the body, with tabs between them. What it cannot read as a request is
// logged without an id.
const fs = require("fs");
const http = require("http");

const log = fs.openSync(process.argv[3], "a");
const escape = (text) => text.replace(/[^\x20-\x7e]|[\\"]/g, (c) => "\\x" + c.charCodeAt(0).toString(16).padStart(2, "0"));
const record = (id, line, status, fields, body) => fs.writeSync(log, `${escape(id)}\t${escape(line)}\t${status}\t${fields}\t${body}\n`);

// The lenient parser: what it takes for a second request is more than what most servers do.
const serve = (request, response) => {
    const chunks = [];
    const line = `${request.method} ${request.url} HTTP/${request.httpVersion}`;
    const id = request.headers["x-request-id"] || "-";
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
        const fields = Buffer.from(request.rawHeaders.join("\n"), "latin1").toString("hex");
        record(id, line, 200, "=" + fields, "=" + Buffer.concat(chunks).toString("hex"));
        response.end("fine");
    });
    request.on("error", () => record(id, line + " (cut short)", 400, "-", "-"));
};
const server = http.createServer({ insecureHTTPParser: true, maxHeaderSize: 1 << 17 }, serve);
// An expectation that it does not know it would refuse by itself.
server.on("checkExpectation", serve);
server.on("clientError", (error, socket) => {
    // A connection that is closed between requests is no request.
    if (error.code !== "ECONNRESET") record("-", (error.rawPacket || Buffer.from(String(error.code))).toString("latin1"), 400, "-", "-");
    socket.destroy();
});
server.listen(Number(process.argv[2]), "127.0.0.1");
