// Package bench holds the benchmarks of docs/performance.md. Each has a peer in the same run:
// httputil.ReverseProxy, or an aggregator as a good engineer would write it by hand. The package
// has no code to import.
package bench
