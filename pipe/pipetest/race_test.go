//go:build race

package pipetest_test

const raceEnabled = true
