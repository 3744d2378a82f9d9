//go:build !race

package pipetest_test

const raceEnabled = false
