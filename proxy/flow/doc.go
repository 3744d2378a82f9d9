// Package flow aggregates typed values: the calls of a request form a graph of dependencies that
// the compiler checks and that ends as a typed pipe.
//
//	user := flow.Call("user", proxy.Decode[User](users))
//	ords := flow.Then("orders", user, account, proxy.Decode[[]Order](orders))
//	recs := flow.Then("recs", user, account, proxy.Decode[[]Item](recommendations))
//	page := flow.Join3(user, ords, flow.Optional(recs), render)
//	endpoint.Spec{Proxy: proxy.Encode(page)}
//
//	var account = flow.Param("account", func(u User) string { return u.Account })
//
//	func render(u User, o []Order, r flow.Maybe[[]Item]) (Page, error) {
//		return Page{u.Name, o, r.Or(nil)}, nil
//	}
//
// A [Node] is a handle, and handles are the wiring: a node takes the nodes that it depends on as
// arguments. So a value of the wrong type does not compile, and a cycle cannot be written. A node
// does not belong to a graph: several graphs may use it, and so may several nodes of one graph. It
// is a value, safe for concurrent use.
//
// # Execution
//
// A graph consists of the nodes that [End], or one of [Join2] to [Join6], can reach. Each node runs
// once per request, as soon as all its dependencies have values. Nodes that do not depend on each
// other run at the same time.
//
// Each call gets its own copy of the request that the graph was called with, without the changes
// that other nodes made to theirs. The body is replayed for each copy. If the graph can make more
// than one call, a request whose body cannot be replayed is refused with
// [proxy.ErrBodyNotReplayable] before anything is called.
//
// Values pass from node to node as they are, without a copy. All functions that get a slice, a map
// or a pointer share what it refers to, and some of them run at the same time, so they must only
// read it.
//
// # Failure
//
// A node is required unless every node that needs it does so through [Optional]. The first required
// node that fails cancels the others and is the error, `flow: node orders: …`. The nodes that it
// cancelled are not reported. If a node that is not required fails, the nodes that depend on it
// fail too, up to the next Optional, whose [Maybe] holds the reason. The graph also reports each
// such failure to [proxy.Missing], once and in the order of the graph. With [proxy.Encode] around
// it, the answer then says that it is partial. An [EachSome] has a value even if calls of it fail,
// and reports each of those in the same way.
//
// If the context has a deadline, the nodes that are not required and the calls of an EachSome end
// before it by a tenth of the remaining time, at most 250 ms, so that the partial answer is in
// time. A deadline, or a client that has gone, ends the graph even if a callee or a function
// ignores its context. Such a call is abandoned, as [proxy.Hold] describes. While
// [proxy.DefaultMaxAbandoned] calls of one node are abandoned, the node fails with
// [proxy.ErrAbandoned] without being called; of an EachSome only the calls fail. If that node is
// required, the graph is refused at once. A panic or runtime.Goexit of a callee or a function fails
// its node, or its call of an EachSome, with a [*pipe.PanicError].
//
// # Faults
//
// Wrong wiring is a fault: an empty name, a nil function or pipe, the zero Node, two nodes of the
// same name, a param that no placeholder can name, a negative limit. The pipe of the graph carries
// the faults of all its nodes, in the order of the graph, each with the place where its node was
// written. The endpoint, router or agent that serves the pipe refuses it, and a call of the pipe
// returns the faults, joined.
//
// # Plan
//
// The step of a graph is of kind "flow". Its detail is the critical path: the longest chain of
// calls in which none can start before the previous one has ended. Inside are the nodes, under
// their names and kinds. The steps of a chain run in order, and those of a fork at the same time,
// so [pipe.Step.Before] follows the dependencies and nothing else. A node appears in several places
// where a tree cannot show the order otherwise. A node whose request a [Param] makes gives that
// param, so that whoever mounts the pipe does not look for it in the route.
package flow
