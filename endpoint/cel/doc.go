// Package cel lets requests and answers pass by expressions of the Common Expression Language
// (https://cel.dev), as in
//
//	endpoint.Spec{
//		Guards: []proxy.Decorator{
//			auth.Require(tokens),
//			cel.Allow(`"admin" in caller.roles || req.params.user == caller.id`),
//		},
//		Proxy: stats.With(cel.Answer(`res.data.tenant == caller.claims.tenant`)),
//	}
//
// An expression is compiled at wiring. One that is not valid, or is not a bool, is a fault in the
// plan that says what is wrong and where: a misspelt variable is an error at startup.
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
// The request is that of the decorator's place. What an inner step has changed in it is seen by
// Answer. The body is not offered: in Guards it has not been read.
//
// A request without a caller has no caller.id, and no other variable of caller but caller.known: it
// is an error to read one, so that !("banned" in caller.roles) does not let everybody pass.
//
// A header or query parameter that is not there is an error too, as is a member of a document:
// "x-tenant" in req.headers, or has(res.data.total), asks for it. In CEL true || error is true, and
// false && error is false, whichever of the two stands first.
//
// A variable is computed when an expression reads it. Documents are not decoded: of res.data only
// what the expression goes through is read. An object or array of more than 100,000 members is an
// error, and so is a number that would lose digits: an integer of more than 64 bits. Integers are
// int or uint, all other numbers double; they compare by value.
//
// # Errors
//
// An expression that is false, or fails, refuses with a [*proxy.Error] of status 403 that wraps
// auth.ErrDenied. Its text, which is for logs, says which expression it was, and why it failed. If
// the time of the call is over, the status is that of the context.
package cel
