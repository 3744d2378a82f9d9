// Package proxy provides the messages of a gateway and the combinators that build one proxy from
// several.
//
//	page := proxy.Merge(
//		proxy.Part{Proxy: user},
//		proxy.Grouped("orders", orders),
//		proxy.Optional(proxy.Grouped("recs", recs)),
//	)
//	res, err := page(ctx, proxy.NewRequest("GET", "/"))
//	defer res.Close()
//
// A [Proxy] is a [pipe.Pipe] from [*Request] to [*Response]. Package backend makes proxies that
// talk to an upstream. A composed proxy can be used wherever such a backend can.
//
// # Combinators
//
// Each combinator can be used inside any other, with policies and shapes around each.
//
//   - [Merge] and [MergeWith] call all parts at once and make one document of their answers. [Race]
//     answers with the first success.
//   - [Sequence] calls one stage after another; a stage can use the results of earlier ones.
//   - [Switch] and [If] call the case whose condition holds, [Split] calls a variant chosen by
//     weight or key, and [Fallback] calls the next proxy when one fails.
//   - [Static] and [Shadow.Decorate] are decorators: Static fills in members, and a [Shadow] sends
//     copies of requests to a mirror. [Swap] holds a proxy that can be replaced.
//   - [Decode] and [Encode] lead to typed pipes and back. Package flow aggregates typed pipes.
//
// # Messages
//
// A [Request] has two header maps because safety depends on where a value came from. Header is what
// the client sent; an upstream receives only the fields that its backend.Spec names. Upstream is
// what code sends; it is always sent.
//
// A [Response] carries either a decoded [document.Document] or an open Body. A partial answer is a
// Response whose Err joins the failures of what is missing.
//
// # Errors
//
// A failure is an [*Error] with the status that a client should see. [StatusOf] returns the status
// of any error.
package proxy
