// Package simulate holds the disasters of docs/resilience.md: a gateway with an upstream of several
// hosts, an open load, and hosts that fail in the ways in which hosts fail. All of it runs in fake
// time over real transports on a network in memory. Each disaster happens to a gateway with the
// usual stack of policies, where its invariant must hold, and to one without. The package has no
// code to import.
package simulate
