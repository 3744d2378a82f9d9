// Package peers measures the policies of sluice beside libraries of the same kind, in the same run. It
// is a module of its own, so that nobody who uses sluice gets these libraries. The figures are in
// docs/performance.md. The package has no code to import.
package peers
