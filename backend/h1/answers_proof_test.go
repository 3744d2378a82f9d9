package h1_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A verdict says what becomes of an answer.
type verdict int

const (
	refused verdict = iota // RoundTrip fails
	cut                    // the body fails
	once                   // the answer is whole, and its connection is closed
	kept                   // the answer is whole, and its connection serves the next call
)

func (v verdict) String() string { return [...]string{"refused", "cut", "whole", "whole and kept"}[v] }

// A rawAnswer is the bytes of an answer, and what a transport makes of them.
type rawAnswer struct {
	name, answer string
	want         verdict
	lenient      bool   // whether net/http accepts what we refuse
	ends         bool   // whether the connection ends after the answer
	method       string // instead of GET
}

const (
	okLine  = "HTTP/1.1 200 OK\r\n"
	payload = `{"a":1}` // 7 bytes
	sized   = "Content-Length: 7\r\n\r\n" + payload
	chunked = "Transfer-Encoding: chunked\r\n\r\n"
	chunks  = chunked + "7\r\n" + payload + "\r\n0\r\n\r\n"
	forged  = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
	honest  = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhonest"
)

var rawAnswers = []rawAnswer{
	// What is well formed.
	{name: "length", answer: okLine + sized, want: kept},
	{name: "chunks", answer: okLine + chunks, want: kept},
	{name: "chunks, several", answer: okLine + chunked + "1\r\n{\r\n5\r\n\"a\":1\r\n01\r\n}\r\n000\r\n\r\n", want: kept},
	{name: "chunks, hexadecimal", answer: okLine + chunked + "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", want: kept},
	{name: "chunks, an extension", answer: okLine + chunked + "7;a=b\r\n" + payload + "\r\n0;c\r\n\r\n", want: kept},
	{name: "chunks, a trailer", answer: okLine + "Trailer: X-Sum\r\n" + chunked + "7\r\n" + payload + "\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n", want: kept},
	{name: "chunks, upper case", answer: okLine + "TRANSFER-ENCODING: Chunked\r\n\r\n7\r\n" + payload + "\r\n0\r\n\r\n", want: kept},
	{name: "chunks, none", answer: okLine + chunked + "0\r\n\r\n", want: kept},
	{name: "length 0", answer: okLine + "Content-Length: 0\r\n\r\n", want: kept},
	{name: "no reason", answer: "HTTP/1.1 200 \r\n" + sized, want: kept},
	{name: "obs-text in a reason", answer: "HTTP/1.1 200 \xff\xfe\r\n" + sized, want: kept},
	{name: "obs-text in a value", answer: okLine + "X-A: \xff\xfe\r\n" + sized, want: kept},
	{name: "tab in a value", answer: okLine + "X-A: a\tb\r\n" + sized, want: kept},
	{name: "empty value", answer: okLine + "X-A:\r\nX-B: \t \r\n" + sized, want: kept},
	{name: "space around a value", answer: okLine + "X-A: \t a b \t\r\n" + sized, want: kept},
	{name: "values of one name", answer: okLine + "x-a: 1\r\nX-A: 2\r\nX-a: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n" + sized, want: kept},
	{name: "odd name", answer: okLine + "!#$%&'*+-.^_`|~09aZ: 1\r\n" + sized, want: kept},
	{name: "pragma", answer: okLine + "Pragma: no-cache\r\n" + sized, want: kept},
	{name: "status 599", answer: "HTTP/1.1 599 Odd\r\n" + sized, want: kept},
	{name: "status 999", answer: "HTTP/1.1 999 Odd\r\n" + sized, want: kept},
	{name: "until the end", answer: okLine + "\r\n" + payload, want: once, ends: true},
	{name: "until the end, said so", answer: okLine + "Connection: close\r\n\r\n" + payload, want: once, ends: true},
	{name: "HTTP/1.0", answer: "HTTP/1.0 200 OK\r\n\r\n" + payload, want: once, ends: true},
	{name: "HTTP/1.0 with a length", answer: "HTTP/1.0 200 OK\r\n" + sized, want: once},
	{name: "HTTP/1.0 kept", answer: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + sized, want: kept},
	{name: "length and close", answer: okLine + "Connection: close\r\n" + sized, want: once},
	{name: "length and Close in a list", answer: okLine + "Connection: x, Close\r\n" + sized, want: once},
	{name: "chunks and close", answer: okLine + "Connection: close\r\n" + chunks, want: once},
	{name: "100 before", answer: "HTTP/1.1 100 Continue\r\n\r\n" + okLine + sized, want: kept},
	{name: "several 1xx before", answer: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 199 Odd\r\n\r\n" + okLine + sized, want: kept},
	{name: "204", answer: "HTTP/1.1 204 No Content\r\n\r\n", want: kept},
	{name: "304", answer: "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", want: kept},
	{name: "304 with a length", answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", want: kept},
	{name: "HEAD with a length", answer: okLine + "Content-Length: 7\r\n\r\n", want: kept, method: "HEAD"},
	{name: "HEAD with chunks", answer: okLine + chunked, want: kept, method: "HEAD"},
	{name: "HEAD without a length", answer: okLine + "\r\n", want: kept, method: "HEAD"},

	// What is well formed, and followed by what nobody asked for.
	{name: "length and more", answer: okLine + sized + "x", want: once},
	{name: "length and a forged answer", answer: okLine + sized + forged, want: once},
	{name: "chunks and a forged answer", answer: okLine + chunks + forged, want: once},
	{name: "chunks and a line end", answer: okLine + chunks + "\r\n", want: once},
	{name: "204 and a forged answer", answer: "HTTP/1.1 204 No Content\r\n\r\n" + forged, want: once},
	{name: "204 with a body", answer: "HTTP/1.1 204 No Content\r\n" + sized, want: once},
	{name: "204 with chunks", answer: "HTTP/1.1 204 No Content\r\n" + chunks, want: refused, lenient: true},
	{name: "304 with a body", answer: "HTTP/1.1 304 Not Modified\r\n" + sized, want: once},
	{name: "HEAD with a body", answer: okLine + sized, want: once, method: "HEAD"},
	{name: "HEAD and a forged answer", answer: okLine + "Content-Length: 0\r\n\r\n" + forged, want: once, method: "HEAD"},
	{name: "length 0 and a forged answer", answer: okLine + "Content-Length: 0\r\n\r\n" + forged, want: once},

	// Where the body ends.
	{name: "length, short", answer: okLine + "Content-Length: 1000\r\n\r\n" + payload, want: cut, ends: true},
	{name: "length, nothing comes", answer: okLine + "Content-Length: 7\r\n\r\n", want: cut, ends: true},
	{name: "length, equal twice", answer: okLine + "Content-Length: 7\r\n" + sized, want: kept},
	{name: "length, different", answer: okLine + "Content-Length: 8\r\n" + sized, want: refused},
	{name: "length, equal but for a zero", answer: okLine + "Content-Length: 07\r\n" + sized, want: refused},
	{name: "length, negative", answer: okLine + "Content-Length: -7\r\n\r\n" + payload, want: refused},
	{name: "length, signed", answer: okLine + "Content-Length: +7\r\n\r\n" + payload, want: refused},
	{name: "length, hexadecimal", answer: okLine + "Content-Length: 0x7\r\n\r\n" + payload, want: refused},
	{name: "length, a list", answer: okLine + "Content-Length: 7,7\r\n\r\n" + payload, want: refused},
	{name: "length, a list with a space", answer: okLine + "Content-Length: 7, 7\r\n\r\n" + payload, want: refused},
	{name: "length, empty", answer: okLine + "Content-Length: \r\n\r\n" + payload, want: refused, ends: true},
	{name: "length, two numbers", answer: okLine + "Content-Length: 7 7\r\n\r\n" + payload, want: refused},
	{name: "length, quoted", answer: okLine + "Content-Length: \"7\"\r\n\r\n" + payload, want: refused},
	{name: "length, no digits", answer: okLine + "Content-Length: seven\r\n\r\n" + payload, want: refused},
	{name: "length, Arabic digits", answer: okLine + "Content-Length: ٧\r\n\r\n" + payload, want: refused},
	{name: "length, 2^63", answer: okLine + "Content-Length: 9223372036854775808\r\n\r\n" + payload, want: refused},
	{name: "length, 2^64+7", answer: okLine + "Content-Length: 18446744073709551623\r\n\r\n" + payload, want: refused},
	{name: "length, 2^63-1", answer: okLine + "Content-Length: 9223372036854775807\r\n\r\n" + payload, want: cut, ends: true},
	{name: "length and chunks", answer: okLine + "Content-Length: 3\r\n" + chunks, want: refused, lenient: true},
	{name: "chunks and length", answer: okLine + "Transfer-Encoding: chunked\r\nContent-Length: 22\r\n\r\n7\r\n" + payload + "\r\n0\r\n\r\n", want: refused, lenient: true},
	{name: "HEAD with length and chunks", answer: okLine + "Content-Length: 3\r\n" + chunked, want: refused, lenient: true, method: "HEAD"},
	{name: "304 with length and chunks", answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n" + chunked, want: refused, lenient: true},
	{name: "HEAD with two lengths", answer: okLine + "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", want: refused, method: "HEAD"},
	{name: "304 with two lengths", answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", want: refused},
	{name: "length, space in the name", answer: okLine + "Content Length: 7\r\n\r\n" + payload, want: refused, lenient: true, ends: true},
	{name: "coding twice", answer: okLine + "Transfer-Encoding: chunked\r\n" + chunks, want: refused},
	{name: "coding twice in a list", answer: okLine + "Transfer-Encoding: chunked, chunked\r\n\r\n7\r\n" + payload + "\r\n0\r\n\r\n", want: refused},
	{name: "another coding", answer: okLine + "Transfer-Encoding: gzip, chunked\r\n\r\n7\r\n" + payload + "\r\n0\r\n\r\n", want: refused},
	{name: "another coding alone", answer: okLine + "Transfer-Encoding: gzip\r\n\r\n" + payload, want: refused, ends: true},
	{name: "coding identity", answer: okLine + "Transfer-Encoding: identity\r\n" + sized, want: refused},
	{name: "coding, empty", answer: okLine + "Transfer-Encoding: \r\n" + sized, want: refused},
	{name: "coding, vertical tab", answer: okLine + "Transfer-Encoding: \vchunked\r\n\r\n7\r\n" + payload + "\r\n0\r\n\r\n", want: refused},
	{name: "coding with a parameter", answer: okLine + "Transfer-Encoding: chunked;a=b\r\n\r\n7\r\n" + payload + "\r\n0\r\n\r\n", want: refused},
	{name: "coding in HTTP/1.0", answer: "HTTP/1.0 200 OK\r\n" + chunks, want: refused, lenient: true, ends: true},

	// Chunks.
	{name: "chunks, cut", answer: okLine + chunked + "7\r\n" + payload + "\r\n", want: cut, ends: true},
	{name: "chunks, cut inside one", answer: okLine + chunked + "9\r\n" + payload, want: cut, ends: true},
	{name: "chunks, cut inside a size", answer: okLine + chunked + "7\r\n" + payload + "\r\n0", want: cut, ends: true},
	{name: "chunks, cut before the last line end", answer: okLine + chunked + "7\r\n" + payload + "\r\n0\r\n", want: cut, ends: true},
	{name: "chunks, cut inside the last line end", answer: okLine + chunked + "7\r\n" + payload + "\r\n0\r\n\r", want: cut, ends: true},
	{name: "chunks, cut inside a trailer", answer: okLine + chunked + "7\r\n" + payload + "\r\n0\r\nX-A: 1", want: cut, ends: true},
	{name: "chunks, cut after a trailer", answer: okLine + chunked + "7\r\n" + payload + "\r\n0\r\nX-A: 1\r\n", want: cut, ends: true},
	{name: "chunks, signed size", answer: okLine + chunked + "+7\r\n" + payload + "\r\n0\r\n\r\n", want: cut},
	{name: "chunks, negative size", answer: okLine + chunked + "-7\r\n" + payload + "\r\n0\r\n\r\n", want: cut},
	{name: "chunks, 0x", answer: okLine + chunked + "0x7\r\n" + payload + "\r\n0\r\n\r\n", want: cut},
	{name: "chunks, space after a size", answer: okLine + chunked + "7 \r\n" + payload + "\r\n0\r\n\r\n", want: cut, lenient: true},
	{name: "chunks, tab after a size", answer: okLine + chunked + "7\t\r\n" + payload + "\r\n0\r\n\r\n", want: cut, lenient: true},
	{name: "chunks, space before a size", answer: okLine + chunked + " 7\r\n" + payload + "\r\n0\r\n\r\n", want: cut},
	{name: "chunks, no size", answer: okLine + chunked + "\r\n" + payload + "\r\n0\r\n\r\n", want: cut},
	{name: "chunks, only an extension", answer: okLine + chunked + ";a\r\n" + payload + "\r\n0\r\n\r\n", want: cut},
	{name: "chunks, 2^64+7", answer: okLine + chunked + "10000000000000007\r\n" + payload + "\r\n0\r\n\r\n", want: cut},
	{name: "chunks, 2^63", answer: okLine + chunked + "8000000000000000\r\n" + payload, want: cut, ends: true},
	{name: "chunks, no line end after data", answer: okLine + chunked + "7\r\n" + payload + "0\r\n\r\n", want: cut},
	{name: "chunks, more data than said", answer: okLine + chunked + "6\r\n" + payload + "\r\n0\r\n\r\n", want: cut},
	{name: "chunks, a bare line feed after a size", answer: okLine + chunked + "7\n" + payload + "\r\n0\r\n\r\n", want: cut},
	{name: "chunks, a bare line feed after data", answer: okLine + chunked + "7\r\n" + payload + "\n0\r\n\r\n", want: cut},
	{name: "chunks, a bare line feed after the last", answer: okLine + chunked + "7\r\n" + payload + "\r\n0\n\r\n", want: cut},
	{name: "chunks, a bare line feed at the end", answer: okLine + chunked + "7\r\n" + payload + "\r\n0\r\n\n", want: cut},
	{name: "chunks, a bare return after a size", answer: okLine + chunked + "7\r" + payload + "\r\n0\r\n\r\n", want: cut},
	{name: "chunks, a line feed in an extension", answer: okLine + chunked + "7;a\nb\r\n" + payload + "\r\n0\r\n\r\n", want: cut},
	{name: "chunks, a return in an extension", answer: okLine + chunked + "7;a\rb\r\n" + payload + "\r\n0\r\n\r\n", want: cut},
	{name: "chunks, a bare line feed in a trailer", answer: okLine + chunked + "7\r\n" + payload + "\r\n0\r\nX-A: 1\n\r\n", want: cut},
	{name: "chunks, a folded trailer", answer: okLine + chunked + "7\r\n" + payload + "\r\n0\r\nX-A: 1\r\n 2\r\n\r\n", want: cut, lenient: true},
	{name: "chunks, space before the colon of a trailer", answer: okLine + chunked + "7\r\n" + payload + "\r\n0\r\nX-A : 1\r\n\r\n", want: cut, lenient: true},
	{name: "chunks, a length as a trailer", answer: okLine + chunked + "7\r\n" + payload + "\r\n0\r\nContent-Length: 1\r\n\r\n", want: cut, lenient: true},
	{name: "chunks, a coding as a trailer", answer: okLine + chunked + "7\r\n" + payload + "\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", want: cut, lenient: true},
	{name: "chunks, NUL in a trailer", answer: okLine + chunked + "7\r\n" + payload + "\r\n0\r\nX-A: a\x00b\r\n\r\n", want: cut},

	// The status line.
	{name: "nothing", answer: "", want: refused, ends: true},
	{name: "half a status line", answer: "HTTP/1.1 20", want: refused, ends: true},
	{name: "half a head", answer: okLine + "X-A: 1\r\n", want: refused, ends: true},
	{name: "status line alone", answer: okLine, want: refused, ends: true},
	{name: "no status", answer: "HTTP/1.1\r\n" + sized, want: refused},
	{name: "no status but a space", answer: "HTTP/1.1 \r\n" + sized, want: refused},
	{name: "status without a space behind it", answer: "HTTP/1.1 200\r\n" + sized, want: kept},
	{name: "status of two digits", answer: "HTTP/1.1 20 OK\r\n" + sized, want: refused},
	{name: "status of four digits", answer: "HTTP/1.1 2000 OK\r\n" + sized, want: refused},
	{name: "status signed", answer: "HTTP/1.1 +20 OK\r\n" + sized, want: refused, lenient: true},
	{name: "status negative", answer: "HTTP/1.1 -20 OK\r\n" + sized, want: refused},
	{name: "status no number", answer: "HTTP/1.1 2x0 OK\r\n" + sized, want: refused},
	{name: "status 000", answer: "HTTP/1.1 000 Odd\r\n" + sized, want: refused, lenient: true},
	{name: "status 099", answer: "HTTP/1.1 099 Odd\r\n" + sized, want: refused, lenient: true},
	{name: "two spaces before the status", answer: "HTTP/1.1  200 OK\r\n" + sized, want: refused, lenient: true},
	{name: "tab before the status", answer: "HTTP/1.1\t200 OK\r\n" + sized, want: refused},
	{name: "space before the version", answer: " HTTP/1.1 200 OK\r\n" + sized, want: refused},
	{name: "line end before the version", answer: "\r\nHTTP/1.1 200 OK\r\n" + sized, want: refused},
	{name: "HTTP/9.9", answer: "HTTP/9.9 200 OK\r\n" + sized, want: refused, lenient: true},
	{name: "HTTP/1.2", answer: "HTTP/1.2 200 OK\r\n" + sized, want: refused, lenient: true},
	{name: "HTTP/2.0", answer: "HTTP/2.0 200 OK\r\n" + sized, want: refused, lenient: true},
	{name: "HTTP/0.9", answer: "HTTP/0.9 200 OK\r\n" + sized, want: refused, lenient: true, ends: true},
	{name: "HTTP/1.10", answer: "HTTP/1.10 200 OK\r\n" + sized, want: refused},
	{name: "HTTP/1", answer: "HTTP/1 200 OK\r\n" + sized, want: refused},
	{name: "http/1.1", answer: "http/1.1 200 OK\r\n" + sized, want: refused},
	{name: "no HTTP", answer: "SSH-2.0-OpenSSH\r\n", want: refused, ends: true},
	{name: "a frame of HTTP/2", answer: "\x00\x00\x00\x04\x00\x00\x00\x00\x00", want: refused, ends: true},
	{name: "an alert of TLS", answer: "\x15\x03\x01\x00\x02\x02\x46", want: refused, ends: true},
	{name: "a body at once", answer: payload + "\r\n\r\n", want: refused, ends: true},
	{name: "a bare line feed after the status line", answer: "HTTP/1.1 200 OK\n" + sized, want: refused, lenient: true},
	{name: "a bare return in the reason", answer: "HTTP/1.1 200 O\rK\r\n" + sized, want: refused, lenient: true},
	{name: "NUL in the reason", answer: "HTTP/1.1 200 O\x00K\r\n" + sized, want: refused, lenient: true},

	// Fields.
	{name: "space before a colon", answer: okLine + "X-A : 1\r\n" + sized, want: refused, lenient: true},
	{name: "tab before a colon", answer: okLine + "X-A\t: 1\r\n" + sized, want: refused},
	{name: "space before the colon of the length", answer: okLine + "Content-Length : 7\r\n\r\n" + payload, want: refused, lenient: true, ends: true},
	{name: "space in a name", answer: okLine + "X A: 1\r\n" + sized, want: refused, lenient: true},
	{name: "folded", answer: okLine + "X-A: 1\r\n 2\r\n" + sized, want: refused, lenient: true},
	{name: "folded with a tab", answer: okLine + "X-A: 1\r\n\t2\r\n" + sized, want: refused, lenient: true},
	{name: "folded length", answer: okLine + "Content-Length:\r\n 7\r\n\r\n" + payload, want: refused, lenient: true},
	{name: "folded first line", answer: okLine + " X-A: 1\r\n" + sized, want: refused},
	{name: "an empty folded line", answer: okLine + "X-A: 1\r\n \r\n" + sized, want: refused, lenient: true},
	{name: "a bare line feed after a field", answer: okLine + "X-A: 1\n" + sized, want: refused, lenient: true},
	{name: "a bare line feed at the end", answer: okLine + "Content-Length: 7\r\n\n" + payload, want: refused, lenient: true},
	{name: "bare line feeds only", answer: "HTTP/1.1 200 OK\nContent-Length: 7\n\n" + payload, want: refused, lenient: true},
	{name: "a bare return in a value", answer: okLine + "X-A: 1\r2\r\n" + sized, want: refused},
	{name: "a bare return before a line end", answer: okLine + "X-A: 1\r\r\n" + sized, want: refused},
	{name: "a bare return in a name", answer: okLine + "X\rA: 1\r\n" + sized, want: refused},
	{name: "a return at the end of the head", answer: okLine + "Content-Length: 7\r\n\r" + payload, want: refused, ends: true},
	{name: "NUL in a value", answer: okLine + "X-A: a\x00b\r\n" + sized, want: refused},
	{name: "a control in a value", answer: okLine + "X-A: a\x01b\r\n" + sized, want: refused},
	{name: "delete in a value", answer: okLine + "X-A: a\x7fb\r\n" + sized, want: refused},
	{name: "NUL in a name", answer: okLine + "X\x00A: 1\r\n" + sized, want: refused},
	{name: "no name", answer: okLine + ": 1\r\n" + sized, want: refused},
	{name: "no colon", answer: okLine + "X-A\r\n" + sized, want: refused},
	{name: "bytes above 127 in a name", answer: okLine + "X-Ä: 1\r\n" + sized, want: refused},
	{name: "parentheses in a name", answer: okLine + "X(A): 1\r\n" + sized, want: refused},
	{name: "a large header", answer: okLine + "X-A: " + strings.Repeat("a", 12<<20) + "\r\n" + sized, want: refused},
	{name: "many headers", answer: okLine + strings.Repeat("X-A: a\r\n", 1_000_000) + sized, want: refused, lenient: true},
	{name: "a large header of ours", answer: okLine + "X-A: " + strings.Repeat("a", 300<<10) + "\r\n" + sized, want: refused, lenient: true},
	{name: "a header below the limit", answer: okLine + "X-A: " + strings.Repeat("a", 200<<10) + "\r\n" + sized, want: kept},

	// Informational answers.
	{name: "101 unasked", answer: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", want: once, ends: true},
	{name: "1xx with a length", answer: "HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\n" + okLine + sized, want: kept},
	{name: "1xx malformed", answer: "HTTP/1.1 1x3 Early\r\n\r\n" + okLine + sized, want: refused},
	{name: "1xx with a bad field", answer: "HTTP/1.1 103 Early Hints\r\nLink\x00: a\r\n\r\n" + okLine + sized, want: refused},
	{name: "1xx and nothing", answer: "HTTP/1.1 103 Early Hints\r\n\r\n", want: refused, ends: true},
	{name: "1xx, then surplus", answer: "HTTP/1.1 103 Early Hints\r\n\r\n" + okLine + sized + forged, want: once},
}

// answering returns a script that answers the first request with text, in pieces of the given size,
// and any other honestly. The channel is closed when all of text is written, or cannot be.
func answering(text string, piece int, ends bool) (script, <-chan struct{}) {
	wrote := make(chan struct{})
	return func(k *talk) bool {
		k.drain()
		if !k.first || k.nth > 0 {
			return k.say(honest)
		}
		done := sync.OnceFunc(func() { close(wrote) })
		defer done()
		for len(text) > 0 {
			n := min(piece, len(text))
			if !k.say(text[:n]) {
				return false
			}
			text = text[n:]
		}
		done()
		if ends {
			k.finish()
		}
		return !ends
	}, wrote
}

// networks are the kinds of connections that an upstream is reached over.
var networks = []struct {
	name  string
	start func(testing.TB, script) *upstream
}{{"loopback", onLoopback}, {"in memory", inMemory}}

// Each answer, in one piece and in single bytes, gets its verdict from us. net/http accepts what we
// accept, and sees the same; what it accepts beyond that is marked as lenient.
//
// proves F1, F3, F4, M6, M7, M11, M13
func TestEveryAnswerGetsItsVerdict(t *testing.T) {
	t.Parallel()
	for _, network := range networks {
		t.Run(network.name, func(t *testing.T) {
			t.Parallel()
			for _, tt := range rawAnswers {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					method := http.MethodGet
					if tt.method != "" {
						method = tt.method
					}
					s, _ := answering(tt.answer, len(tt.answer)+1, true)
					p := network.start(t, s)
					twin := exchange(t, newTwin(t, p.dial), method)
					assert.Equal(t, tt.lenient || tt.want >= once, twin.whole(), "net/http: %v, %v", twin.Refused, twin.Cut)
					for _, piece := range []int{len(tt.answer) + 1, 1, 7} {
						if piece == 1 && len(tt.answer) > 1<<10 {
							continue
						}
						name := fmt.Sprintf("in pieces of %d", piece)
						s, wrote := answering(tt.answer, piece, tt.ends)
						p := network.start(t, s)
						tr := newOurs(t, p.dial)
						ours := exchange(t, tr, method)
						assert.Equal(t, tt.want >= once, ours.whole(), "%s: %v, %v", name, ours.Refused, ours.Cut)
						assert.Equal(t, tt.want == refused, ours.Refused != nil, name)
						agree(t, ours, twin, tt.name)

						<-wrote // else nobody can tell whether the next request was there first
						next := exchange(t, tr, http.MethodGet)
						assert.True(t, next.whole(), "%s: %v, %v", name, next.Refused, next.Cut)
						assert.Equal(t, "honest", next.Body, name)
						want := int32(2)
						if tt.want == kept {
							want = 1
						}
						assert.Equal(t, want, p.conns.Load(), "%s: connections", name)
					}
				})
			}
		})
	}
}
