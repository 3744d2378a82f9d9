package main

import (
	"fmt"
	"syscall"
)

// allowFiles raises the limit of file descriptors of this process, and of those that it starts, to n.
func allowFiles(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	need, had := uint64(n), limit.Cur
	if had >= need {
		return nil
	}
	limit.Cur, limit.Max = need, max(need, limit.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("%d descriptors are needed, the limit is %d: %w", n, had, err)
	}
	return nil
}
