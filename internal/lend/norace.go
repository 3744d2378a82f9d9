//go:build !race

package lend

const underRace = false
