// Package cel admits requests and answers by expressions of the Common Expression Language
// (https://cel.dev):
//
//	endpoint.Spec{
//		Guards: []proxy.Decorator{
//			auth.Require(tokens),
//			cel.Allow(`"admin" in caller.roles || req.params.user == caller.id`),
//		},
//		Proxy: stats.With(cel.Answer(`res.data.tenant == caller.claims.tenant`)),
//	}
//
// An expression is compiled at wiring. If it is not valid, or its type is not bool, it is a fault in the
// plan that says what is wrong and where. So a misspelt variable is an error at startup.
//
// # Variables
//
//	req.method    string                     GET
//	req.path      string                     as routed, escaped
//	req.host      string                     as the client named it
//	req.remote    string                     the address of the client, without a port; "" if unknown
//	req.query     map(string, list(string))  all values of each parameter
//	req.headers   map(string, list(string))  what the client sent, by names in lower case
//	req.params    map(string, string)        of the route, decoded
//	caller.known  bool                       whether somebody has verified who calls
//	caller.id, caller.issuer, caller.scheme  string
//	caller.roles, caller.scopes              list(string)
//	caller.claims map(string, dyn)           what the credential says
//	now           timestamp                  the same one for all of an expression
//
// and, in [Answer] and [AnswerWith]:
//
//	res.status    int   200
//	res.data      dyn   the Document; null without one, and an error for a stream
//	res.complete  bool  whether nothing is missing in it
//
// The request is the one at the place of the decorator. Answer sees what an inner step has changed in the
// request. There is no variable for the body, because in Guards it has not been read.
//
// A request without a caller has no variable of caller except caller.known. To read another one is an
// error, so that !("banned" in caller.roles) does not admit everybody.
//
// To read a header, a query parameter or a member of a document that is absent is an error too. Test for it
// with "x-tenant" in req.headers, or has(res.data.total). In CEL true || error is true, and false && error
// is false, whichever of the two stands first.
//
// A variable is computed when an expression reads it. Documents are not decoded: of res.data, only what the
// expression goes through is read. An object or array of more than 100,000 members is an error. So is an
// integer of more than 64 bits, because it would lose digits. Integers are int or uint, and all other
// numbers double; they compare by value.
//
// # Errors
//
// An expression that is false, or fails, refuses with a [*proxy.Error] of status 403 that wraps
// auth.ErrDenied. Its text, which is for logs, says which expression refused, and why. If the context of
// the call has ended, the status is that of the context.
package cel
