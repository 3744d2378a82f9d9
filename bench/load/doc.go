// Command load measures a gateway of sluice beside its peers over loopback sockets, and prints a
// table:
//
//	go run ./bench/load
//	go run ./bench/load -rows 'merge' -rounds 11
//	go run ./bench/load -rows 'passthrough 1 KB' -profile /tmp/profiles
//
// The upstream, the gateway, the peer and the generator of the load are processes of their own: this
// program, started again in another role. The generator is wrk where that is installed. Rounds of the
// gateway and of its peers take turns, in an order that is reversed each time, and each round gives one
// figure, such as the processor time of the process for each request. The ratio is the median of the
// rounds' ratios. Before a row is measured, the answers of all sides are compared.
//
// Both sides have the same limits of the server, the same GOMAXPROCS and GOGC, which they inherit from
// the environment, and neither logs. The program needs Linux, where /proc tells what a process used.
package main
