// Package backend makes the leaves of a gateway: proxies that talk to one upstream each.
//
//	user, err := backend.New(backend.Spec{Name: "user", URL: "http://users:8080/users/{id}"})
//	if err != nil {
//		return err // everything that is wrong with the Spec
//	}
//	res, err := user(ctx, req) // GET http://users:8080/users/42, answered as a document.Document
//
// A [Spec] says what to call and what may go there. A [Factory] says how: [HTTP] is the factory of
// this package, and [Decorate] adds to any factory what each upstream needs for itself, such as a
// timeout or a limit.
//
// # What reaches the upstream
//
// Only what the Spec names of the client's request reaches the upstream:
//
//	path         the segments of Spec.URL; a placeholder is one segment or a part of one,
//	             and {*} is the rest that the route's wildcard matched
//	query        the fixed parameters of Spec.URL, then those that Spec.Query names, and
//	             always those that code names in Request.UpstreamQuery
//	headers      those that Spec.Headers names, and always those of Request.Upstream,
//	             which code sets and which win
//	If-*, Range  if named, and only with Passthrough
//	hop-by-hop   never (RFC 9110, section 7.6.1), and naming one is a fault; a stream has
//	             "TE: trailers" and an Upgrade where the client asked for them
//	body         with a method that has one, together with Content-Type,
//	             Content-Encoding and Content-Length
//	twins        no twin of a header that never goes, is taken back or is set by code;
//	             X_User, for example, is a twin of X-User
//	User-Agent   the client's if named; the backend never makes one up
//
// A leaf of another protocol gets the same rules from [HeaderRule] and [Template].
//
// # What comes back
//
// By default the answer is decoded: the response has a [document.Document] and the headers that
// Spec.Expose names. A failure status is an error, of which the client sees the status alone;
// Spec.PassErrors hands on its body, and [ErrorAsData] makes a member of it. With
// [Passthrough] the response has the status, the end-to-end headers, the bytes and the trailers as
// they come.
//
//	status                    decoded
//	200 to 299                success; 204, 205 and an empty body are an absent Document
//	206, 1xx                  502
//	304                       success without a Document if code has set If-None-Match or
//	                          If-Modified-Since in Request.Upstream of a GET or HEAD, else 502
//	3xx                       502: redirects are not followed
//	401                       401 if the client's Authorization or Cookie was forwarded, else 502
//	407                       502
//	other 4xx                 as sent, with Retry-After
//	503, 504                  as sent, with Retry-After
//	other 5xx, 600 and above  502
//
// The body is [JSON], [XML] or [Text], as the Spec says, or what its Content-Type says; see [Auto].
// The root of a document may be any value: an array stays an array.
//
// # XML
//
// Elements become members, in the order in which their names first appear:
//
//	<user id="7">                 {"user": {
//	  <name>Ada</name>                "@id": "7",
//	  <tag>a</tag>                    "name": "Ada",
//	  <tag>b</tag>                    "tag": ["a", "b"],
//	  <note lang="de">hm</note>       "note": {"@lang": "de", "#text": "hm"},
//	  <nothing/>                      "nothing": ""
//	</user>                       }}
//
// An element that has neither attributes nor child elements is a string: its text, unchanged. Any
// other element is an object. The object has the attributes, each under its name after an "@", then
// the child elements, then the text, if there is any, under "#text". The pieces of that text are
// joined, and the white space around it is removed. Child elements of the same name become an array
// in the place of the first. Where there may be one or more, name the element in [XMLSpec], so that
// it is always an array. Every value is a string.
//
// Names lose their prefix. Namespace declarations, comments and processing instructions are left
// out; CDATA is text. The JSON is at most four times as long as the XML.
//
// UTF-8, US-ASCII, ISO-8859-1 and windows-1252 are read, ISO-8859-1 as windows-1252, as browsers
// do. The charset in the Content-Type counts, or else the one that the XML declares (RFC 7303,
// section 3), or else it is UTF-8. If the bytes do not fit it, the error says where it came from.
//
// # Limits
//
//	decoded body, after decompression  8 MiB, Spec.MaxBytes
//	body kept of a failure             4 KiB, Spec.MaxErrorBytes
//	JSON                               depth 512, see JSONWith
//	XML                                depth 512, see XMLWith
//	body read to reuse a connection    64 KiB within 50 ms, else the connection is closed
//	wait for the body of a failure     50 ms in all; the status is known by then
//	informational answers (1xx)        2,000 per call where they are forwarded
//
// # Transports
//
// A backend that is given no transport speaks HTTP/1.1 with an [h1.Transport], which runs each call
// on its caller's goroutine. It is stricter about answers than net/http: what different readers may
// read differently is a 502. With a host that negotiates HTTP/2 over TLS, net/http's transport speaks.
// [NewDefaultTransport] makes such a transport for several backends to share.
//
// [NewTransport] makes one of net/http alone, as for a proxy or for HTTP/2 without TLS. Its comment
// lists its limits of connections, and the fields of [h1.Transport] have the others.
package backend
