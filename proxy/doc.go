// Package proxy is the message and the combinators that make one proxy of many.
//
//	page := proxy.Merge(
//		proxy.Part{Proxy: user},
//		proxy.Grouped("orders", orders),
//		proxy.Optional(proxy.Grouped("recs", recs)),
//	)
//	res, err := page(ctx, proxy.NewRequest("GET", "/"))
//	defer res.Close()
//
// A [Proxy] is a [pipe.Pipe] from [*Request] to [*Response]. One that talks to an upstream is made by package backend,
// and a composed one can stand wherever such a backend stands.
//
// # Combinators
//
// Any of them can stand in any other, with policies and shapes around each.
//
//   - [Merge] and [MergeWith] call all parts at once and make one document of theirs; [Race] answers with the first that
//     succeeds.
//   - [Sequence] calls one stage after another, each with what came of those before.
//   - [Switch] and [If] call the case that holds, [Split] a variant by weight or key, [Fallback] the next one on failure.
//   - [Shadow] and [Static] are decorators: a copy for a mirror, and what fills in. [Swap] holds a proxy that can be replaced.
//   - [Decode] and [Encode] lead to typed pipes and back; package flow aggregates those.
//
// # Messages
//
// A [Request] has two header maps because safety depends on where a value came from: Header is what the client sent,
// and an upstream gets of it only what its backend.Spec names; Upstream is what code sends, and is always sent.
//
// A [Response] carries either a decoded [document.Document] or an open Body. A partial answer is a Response whose Err joins what
// is missing.
//
// # Errors
//
// Failures are a [*Error] with the status that a client should see; [StatusOf] tells the status of any error.
package proxy
