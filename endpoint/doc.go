// Package endpoint is where HTTP becomes a [proxy.Request], and a [proxy.Response] or an error
// becomes HTTP again. The handler that [New] makes works on any router of net/http handlers, and
// without one:
//
//	page, err := endpoint.New(endpoint.Spec{Proxy: users})
//	if err != nil {
//		log.Fatal(err) // everything that is wrong with the pipe, at startup
//	}
//	mux := http.NewServeMux()
//	mux.Handle("GET /users/{id}", page)
//
// # What a pipe sees
//
// The request is the pipe's own: it may change headers, query and params, and nobody else notices.
// What an upstream must not get is gone from its headers:
//
//   - hop-by-hop headers (RFC 9110, section 7.6.1) and those that Connection names
//   - X-Forwarded-*, Forwarded and X-Real-Ip
//   - the twins of all these, of X-Request-Id and of Content-Length, -Type and -Encoding: names
//     that are equal, without regard to case, once every byte but letters and digits is "-", as
//     X_Real.Ip
//   - values with a control byte other than tab
//
// X-Forwarded-For, -Host and -Proto are made anew from the connection; see [Spec.TrustedProxies]
// for an endpoint behind a proxy of yours. A pair of the query that does not parse is dropped, and
// only what was parsed goes on. Params are decoded once; one that could change the path of an
// upstream ("..", a NUL, a line break) is refused with 400.
//
// The context ends when the client goes away, when [Spec.Timeout] is over, and when the handler
// returns. [HTTPRequest] and [RequestID] return what it knows about its request.
//
// # Who may come in
//
// [Spec.Guards] stand around the pipe and run before the request body is read; package endpoint/auth
// has guards that verify the caller. Such a guard calls [Identify], which tells the pipe who the
// caller is, in Request.Caller, and the code around the endpoint, in the [Record]. [ClientOf] returns
// where a request comes from, and [WriteError] refuses one as an endpoint would.
//
// # What a client sees
//
//	a Document              status of the response (200), application/json, its exact length, X-Completed: true;
//	                        other formats if Spec.Encode has them, 406 if the client accepts none
//	                        and with Spec.ETag an ETag, or 304 if the client has that one
//	a partial Document      the same with X-Completed: false and Cache-Control: no-store
//	a Response with neither the status and no body, never null; X-Completed as with a Document, also with 202 and 204,
//	                        but not with 3xx
//	a Body                  status, end-to-end headers and bytes as they come, with trailers
//	an error                a problem of RFC 9457 with the status of the error, its text and the request id; no-store
//	one for clients         an upstream's 4xx as it was sent, if its Spec has PassErrors; see [WritePassed]; no-store
//
// A header that a middleware has set before the endpoint is called wins over one of the same name
// that the answer has, but for lists to which both may add: Set-Cookie, Vary, Link, Via, Allow,
// WWW-Authenticate, Server-Timing, Cache-Status, RateLimit and RateLimit-Policy have the values of
// both. Content-Length is always the answer's, and so is Content-Type but in a stream.
//
// A problem never says more than that: no text of an error, no address and no stack. The errors go
// to [Spec.Report], each once; [Refused] tells refusals (401, 403, 429) from failures.
//
// A stream that breaks after its first byte must not look complete, so the handler ends the
// connection by panicking with [http.ErrAbortHandler], as net/http asks for. It panics for no other
// reason. A panic in the pipe becomes a problem of status 500, and the connection lives on.
//
// A client of HTTP/1.0 cannot tell a close from the end of an answer without a length, so its
// connection is reset, and one of TLS ends without a close_notify. For that the ResponseWriter must
// let net/http's connection go (Hijack), and that must have the method SetLinger of a
// [net.TCPConn], or a method NetConn that returns one which has it. Over a Unix socket, a listener
// that wraps its connections, or a ResponseWriter that hides the original, it is a close.
//
// # XML
//
// [XML] is written as backend.XML is read, member by member in their order:
//
//	{"user": {                     <user id="7">
//	  "@id": "7",                    <name>Ada</name>
//	  "name": "Ada",                 <tag>a</tag><tag>b</tag>
//	  "tag": ["a", "b"],             <age>36</age>
//	  "age": 36, "seen": null,       <seen/>
//	  "note": {"@lang": "de",        <note lang="de">hm</note>
//	    "#text": "hm"}             </user>
//	}}
//
// A member "@name" with a scalar becomes an attribute, which is left out if the scalar is null, and
// "#text" becomes the text of its element. An array becomes one element for each of its items, so
// an empty one becomes nothing; the items of an array in an array, or at the root, are elements
// "item". Booleans and numbers become their text. An empty object, like null, becomes an empty
// element. What is not allowed in a name is escaped, as in "first_x0020_name", and a control
// character, which is not allowed in XML at all, becomes U+FFFD. No white space is added.
//
// # Limits
//
// For every limit, 0 is the default and a negative value is no limit.
//
//	Timeout        10 s      of the pipe, from its start to its response; then 504
//	ReadTimeout    10 s      of the request body, which is read first; then 504
//	MaxBody        1 MiB     of the request body; above it 413, before the pipe is called; no limit with Stream
//	WriteTimeout   30 s      of each write; then the connection ends
//	IdleTimeout    60 s      of a stream without a byte, either way; then the connection ends
//	MaxAbandoned   1,000     calls in code that ignores its context; then 503
package endpoint
