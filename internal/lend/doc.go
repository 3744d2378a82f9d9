// Package lend lends the memory that the bodies of upstreams are read into. An exchange has an
// [Arena]. Whatever it lends goes back into pools that all exchanges share, once the client has the
// whole answer.
//
// An endpoint lends only where its plan says that nobody can keep a response; see pipe.Step.Lends.
// Memory also stays out of the pools, and is left to the collector, if anything went another way
// than planned: a call was abandoned, or is still under way, the answer is a stream or was not
// written whole, or something has panicked.
//
// Where [Poison] is set, memory that goes back is overwritten first with a byte that no JSON text
// and no UTF-8 has, so that whoever reads it too late finds nothing that passes for a document. That
// is so under the race detector and in the tests of sluice.
package lend
