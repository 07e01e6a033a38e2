// Runs libmodsecurity for tests/differential.rs: rules and transactions come in on stdin, answers go out on stdout.
//
// C++ and not C, since only the C++ interface gives what a rule logged as bytes; the text log that the C interface
// gives escapes and cuts it.
//
// Numbers are 32 bits, least significant byte first; strings are a length and bytes.
//   V                      -> string: the library's version
//   R string               -> string: what is wrong with the rules, empty when they are taken
//   T method uri protocol  (strings)
//     headers              (count, then name and value of each)
//     body                 (string)
//     answered             (0 or 1); if 1: status, headers, body
//                          -> count, then rule id and logdata of each rule that logged; status of the interruption
//                             or 0
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <modsecurity/modsecurity.h>
#include <modsecurity/rule_message.h>
#include <modsecurity/rules_set.h>
#include <modsecurity/transaction.h>

namespace {

using modsecurity::ModSecurity;
using modsecurity::RuleMessage;
using modsecurity::RulesSet;
using modsecurity::Transaction;
using Headers = std::vector<std::pair<std::string, std::string>>;

void need(bool done) {
    // The other side has gone; there is nobody to tell.
    if (!done) std::exit(3);
}

uint32_t read_number() {
    unsigned char b[4];
    need(std::fread(b, 1, 4, stdin) == 4);
    return b[0] | b[1] << 8 | b[2] << 16 | static_cast<uint32_t>(b[3]) << 24;
}

std::string read_string() {
    std::string text(read_number(), '\0');
    need(text.empty() || std::fread(&text[0], 1, text.size(), stdin) == text.size());
    return text;
}

Headers read_headers() {
    Headers headers(read_number());
    for (auto &header : headers) {
        header.first = read_string();
        header.second = read_string();
    }
    return headers;
}

void write_number(uint32_t n) {
    for (int i = 0; i < 4; i++) need(std::fputc(n >> (8 * i) & 0xff, stdout) != EOF);
}

void write_string(const std::string &text) {
    write_number(text.size());
    need(std::fwrite(text.data(), 1, text.size(), stdout) == text.size());
}

const unsigned char *bytes(const std::string &text) {
    return reinterpret_cast<const unsigned char *>(text.data());
}

// The status with which the transaction ends here, or 0.
uint32_t interrupted(Transaction *transaction) {
    modsecurity::ModSecurityIntervention it;
    modsecurity::intervention::clean(&it);
    const bool some = transaction->intervention(&it);
    const uint32_t status = some && it.disruptive ? it.status : 0;
    modsecurity::intervention::free(&it);
    return status;
}

uint32_t run_request(Transaction *transaction) {
    const std::string method = read_string(), uri = read_string(), protocol = read_string();
    const Headers headers = read_headers();
    const std::string body = read_string();
    const bool answered = read_number() != 0;
    uint32_t status = 0;
    Headers response_headers;
    std::string response_body;
    if (answered) {
        status = read_number();
        response_headers = read_headers();
        response_body = read_string();
    }

    transaction->processConnection("192.0.2.7", 40000, "198.51.100.1", 8080);
    transaction->processURI(uri.c_str(), method.c_str(), protocol.c_str());
    for (const auto &h : headers) {
        transaction->addRequestHeader(bytes(h.first), h.first.size(), bytes(h.second), h.second.size());
    }
    transaction->processRequestHeaders();
    if (const uint32_t ended = interrupted(transaction)) return ended;
    transaction->appendRequestBody(bytes(body), body.size());
    if (const uint32_t ended = interrupted(transaction)) return ended;
    transaction->processRequestBody();
    if (const uint32_t ended = interrupted(transaction)) return ended;
    if (!answered) return 0;
    for (const auto &h : response_headers) {
        transaction->addResponseHeader(bytes(h.first), h.first.size(), bytes(h.second), h.second.size());
    }
    transaction->processResponseHeaders(status, "HTTP/1.1");
    if (const uint32_t ended = interrupted(transaction)) return ended;
    transaction->appendResponseBody(bytes(response_body), response_body.size());
    if (const uint32_t ended = interrupted(transaction)) return ended;
    transaction->processResponseBody();
    return interrupted(transaction);
}

void run(ModSecurity *engine, RulesSet *rules) {
    Transaction transaction(engine, rules, nullptr);
    const uint32_t status = run_request(&transaction);
    transaction.processLogging();
    // Not the log callback: it is not told of rules that interrupt.
    const std::list<RuleMessage> &hits = transaction.m_rulesMessages;
    write_number(hits.size());
    for (const auto &hit : hits) {
        write_number(hit.m_ruleId);
        write_string(hit.m_data);
    }
    write_number(status);
}

}  // namespace

int main() {
    ModSecurity engine;
    engine.setServerLogCb([](void *, const void *) {}, modsecurity::RuleMessageLogProperty);
    auto rules = std::make_unique<RulesSet>();
    for (int what; (what = std::fgetc(stdin)) != EOF;) {
        switch (what) {
            case 'V':
                write_string(MODSECURITY_VERSION);
                break;
            case 'R': {
                rules = std::make_unique<RulesSet>();
                const std::string text = read_string();
                const bool taken = rules->load(text.c_str()) >= 0;
                const std::string error = rules->getParserError();
                write_string(taken ? "" : error.empty() ? "refused" : error);
                break;
            }
            case 'T':
                run(&engine, rules.get());
                break;
            default:
                return 2;
        }
        std::fflush(stdout);
    }
    return 0;
}
