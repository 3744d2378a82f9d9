//go:build !unix || aix || solaris

package h1

import "net"

// An eye cannot look at a connection here: wire.quiet reads instead.
type eye struct{}

func (*eye) init(net.Conn) {}

func (*eye) sees() bool { return false }

func (*eye) quiet() bool { return false }
