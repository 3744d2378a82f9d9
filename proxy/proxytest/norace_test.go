//go:build !race

package proxytest_test

const raceEnabled = false
