// Package flow aggregates with types: a graph of calls that depend on each other, checked by the compiler, that ends as a
// typed pipe.
//
//	user := flow.Call("user", proxy.Decode[User](users))
//	ords := flow.Then("orders", user, forUser, proxy.Decode[[]Order](orders))
//	recs := flow.Then("recs", user, forUser, proxy.Decode[[]Item](recommendations))
//	page := flow.Join3(user, ords, flow.Optional(recs), func(u User, o []Order, r flow.Maybe[[]Item]) (Page, error) {
//		return Page{u.Name, o, r.Or(nil)}, nil
//	})
//	endpoint.Spec{Proxy: proxy.Encode(page)}
//
//	func forUser(r *proxy.Request, u User) error { r.Params.Set("account", u.Account); return nil }
//
// A [Node] is a handle, and handles are the wiring: a node takes those that it depends on as arguments. So a value of the
// wrong type does not compile, and a cycle cannot be written. A node belongs to no graph: it may be used in several, and by
// several others in one; it is a value, safe for concurrent use.
//
// # Execution
//
// A graph is what [Join2] to [Join6], or [End], can reach. Each of its nodes runs once per request, as soon as all that it
// depends on is there; what does not depend on each other runs at once. Each call gets its own copy of the request that
// the graph was called with, never of one that another node has changed; a body is replayed for each, and one that cannot
// be is refused with [proxy.ErrBodyNotReplayable] before anything is called, if the graph can make more than one call.
//
// Values go from node to node as they are, without a copy. What a slice, a map or a pointer leads to is shared by all
// functions that get it, some of which run at the same time: it is only to be read.
//
// # Failure
//
// A node is required unless everything that needs it does so through [Optional]. The first required node that fails
// cancels the others and is the error, `flow: node orders: …`; what was cancelled by it is not reported. A failed node that
// is not required takes those with it that depend on it, up to the next Optional, whose [Maybe] has the reason. It is told to
// [proxy.Missing] too, each such failure once and in the order of the graph, so that with [proxy.Encode] around the
// answer says that it is partial.
//
// If the context has a deadline, nodes that are not required end a tenth of the remaining time before it, at most 250 ms,
// so that the partial answer is in time. A deadline, and a client that is gone, end the graph even where a callee or a
// function ignores its context: that call is abandoned, as [proxy.Hold] describes. While [proxy.DefaultMaxAbandoned] calls
// of one node are abandoned it fails with [proxy.ErrAbandoned] without being called, and if it is required the graph is
// refused at once. A panic, or runtime.Goexit, of a callee or a function fails its node with a [*pipe.PanicError].
//
// # Faults
//
// What is wired wrongly is a fault: an empty name, a nil function or pipe, the zero Node, two nodes of one name. The pipe of
// the graph carries those of all its nodes, in the order of the graph, each with the place where its node was written.
// Whoever serves it refuses them, and a call of it returns them, joined.
//
// # Plan
//
// The step of a graph is of kind "flow", its detail the critical path: the longest chain of calls, in which none can start
// before the one before it has ended. Inside are the nodes, under their names and kinds: what stands in a chain runs in
// order, what stands in a fork at the same time, so pipe.Step.Before answers from the dependencies and from nothing else. A
// node stands in several places where a tree cannot say the order otherwise.
package flow
