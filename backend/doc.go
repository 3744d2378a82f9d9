// Package backend makes the leaves of a gateway: proxies that talk to one upstream each.
//
//	user, err := backend.New(backend.Spec{Name: "user", URL: "http://users:8080/users/{id}"})
//	if err != nil {
//		return err // all that is wrong with the Spec
//	}
//	res, err := user(ctx, req) // GET http://users:8080/users/42, answered as a document.Document
//
// A [Spec] says what to call and what may go there, a [Factory] how: [HTTP] is the one of this package, and [Decorate]
// adds to any factory what each of its upstreams needs for itself, such as a timeout or a breaker.
//
// # What reaches the upstream
//
// Of what the client sent, only what the Spec names:
//
//	path            the segments of Spec.URL; a placeholder is one segment, or part of one, {*} the route's rest
//	query           the fixed parameters of Spec.URL, then those that Spec.Query names
//	headers         those that Spec.Headers names, and always those of Request.Upstream, which code sets and which win
//	If-*, Range     named, and only by Passthrough
//	hop-by-hop      never (RFC 9110, section 7.6.1), named or not; in a stream "TE: trailers" and an asked-for Upgrade
//	body            with a method that has one; Content-Type, Content-Encoding and Content-Length go with it
//	twins           never of what never goes or is taken back, nor of what code sends, as X_User is one of X-User
//	User-Agent      the client's if named; none is made up
//
// A leaf of another protocol has the same rules with [HeaderRule] and [Template].
//
// # What comes back
//
// A decoded upstream, the default, answers with a [document.Document] and the headers that Spec.Expose names; a failure
// status is an error, of which [ErrorAsData] makes a member. [Passthrough] answers with the status, the end-to-end headers,
// the bytes and the trailers as they come.
//
//	status                          decoded
//	200 to 299                      success; 204, 205 and an empty body are an absent Document
//	206, 304, 1xx                   502
//	3xx                             502: redirects are not followed
//	401                             401 if the client's Authorization or Cookie was forwarded, else 502
//	407                             502
//	other 4xx                       as sent, with Retry-After
//	503, 504                        as sent, with Retry-After
//	other 5xx, 600 and above        502
//
// The body is [JSON], [XML] or [Text], as the Spec says, or what its Content-Type says, see [Auto]. Any value may be the
// root of a document: an array stays one.
//
// # XML
//
// Elements become members, in the order in which their names come first:
//
//	<user id="7">                 {"user": {
//	  <name>Ada</name>                "@id": "7",
//	  <tag>a</tag>                    "name": "Ada",
//	  <tag>b</tag>                    "tag": ["a", "b"],
//	  <note lang="de">hm</note>       "note": {"@lang": "de", "#text": "hm"},
//	  <nothing/>                      "nothing": ""
//	</user>                       }}
//
// An element with neither attributes nor elements in it is the string of its text, to the letter. Any other one is an
// object: attributes under "@" and their name, then the elements, then the text, if there is any, under "#text", its
// pieces joined and without the white space around it. Equal names become an array in the place of the first; where there
// may be one or more, name it in [XMLSpec] and it always is one. Every value is a string.
//
// Names are without prefix, and declarations of namespaces are left out. So are comments and processing instructions;
// CDATA is text. The JSON is at most four times as long as the XML.
//
// # Limits
//
//	decoded body, after decompression   8 MiB, Spec.MaxBytes
//	body kept of a failure              4 KiB, Spec.MaxErrorBytes
//	JSON                                depth 512, see JSONWith
//	XML                                 depth 512, see XMLWith
//	body read to reuse a connection     64 KiB that come within 50 ms, else the connection is closed
//	wait for the body of a failure      50 ms in all; the status is known
//	informational answers (1xx)         2,000 per call where they are forwarded
//
// The limits of connections are those of [NewTransport].
package backend
