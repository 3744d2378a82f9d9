// Package endpoint is where HTTP becomes a [proxy.Request], and a [proxy.Response] or an error becomes HTTP again. The
// handler that [New] makes works on any router of net/http handlers, and without one:
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
// The request is the pipe's own: headers, query and params can be changed without anybody else noticing. Hop-by-hop
// headers (RFC 9110, section 7.6.1) and what Connection names are gone, and so are X-Forwarded-*, Forwarded and X-Real-Ip,
// and the twins of all of them, of X-Request-Id and of Content-Length, -Type and -Encoding: names that are equal, without regard to case, once every
// byte but letters and digits is "-", as X_Real.Ip. So are values with a control byte but tab. X-Forwarded-For, -Host and
// -Proto are made anew from the connection; see [Spec.TrustedProxies] for what stands behind a proxy of yours. A pair of the query that does not parse is dropped, and
// what was parsed is what goes on. Params are decoded once; one that could change the path of an upstream ("..", a NUL, a
// line break) is refused with 400.
//
// The context ends when the client goes away, when [Spec.Timeout] is over, and when the handler returns. It knows the
// request it belongs to; see [HTTPRequest] and [RequestID].
//
// # What a client sees
//
//	a Document              status of the response (200), application/json, its exact length, X-Completed: true;
//	                        other formats if Spec.Encode has them, 406 if the client accepts none
//	a partial Document      the same with X-Completed: false and Cache-Control: no-store
//	a Response with neither the status and no body, never null; X-Completed as with a Document, also with 202 and 204
//	a Body                  status, end-to-end headers and bytes as they come, with trailers
//	an error                a problem of RFC 9457 with the status of the error, its text and the request id; no-store
//
// A problem never says more than that: no text of an error, address or stack. The errors go to [Spec.Report], each once.
//
// A stream that breaks after its first byte must not look complete, so the handler ends the connection by panicking with
// [http.ErrAbortHandler], as net/http asks for. It panics for no other reason, and a panic in the pipe is a problem of
// status 500 on a connection that lives on.
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
// A member "@name" with a scalar is an attribute, left out where it is null, and "#text" the text of its element. An array
// is an element for each of its own, none where it is empty; an array in an array, or at the root, has elements "item".
// Booleans and numbers are their text, and an empty object, like null, an empty element. What cannot stand in a name is
// escaped, as in "first_x0020_name", and what cannot stand in XML at all, a control character, becomes U+FFFD. White space
// is added nowhere.
//
// # Limits
//
// For every limit 0 is the default and less than 0 is none.
//
//	Timeout        10 s      of the pipe, from its start to its response; then 504
//	ReadTimeout    10 s      of the request body, which is read first; then 504
//	MaxBody        1 MiB     of the request body; above it 413, before the pipe is called; no limit with Stream
//	WriteTimeout   30 s      of each write; then the connection ends
//	IdleTimeout    60 s      of a stream without a byte, either way; then the connection ends
//	MaxAbandoned   1,000     calls in code that ignores its context; then 503
package endpoint
