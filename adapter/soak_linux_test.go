package adapter_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/adapter"
)

const (
	soakEnv  = "SLUICE_SOAK"       // a number of connections; 1 for 10,000
	serveEnv = "SLUICE_SOAK_SERVE" // in the child: which server it is
)

// Each server is a process of its own, so that the clients' half of a connection and what another
// server has left in the heap are not counted.
//
// proves M31
func TestSoakIdleConnections(t *testing.T) {
	if kind := os.Getenv(serveEnv); kind != "" {
		serveSoak(t, kind)
		return
	}
	n := soakSize(t)
	ours, twin := soak(t, "adapter", n), soak(t, "net/http", n)
	t.Logf("RSS of an idle connection at %d: adapter %.1f KiB, net/http %.1f KiB", n, ours, twin)
	assert.LessOrEqual(t, ours, max(25, 1.3*twin), "KiB")
}

func soakSize(t *testing.T) int {
	t.Helper()
	value := os.Getenv(soakEnv)
	if value == "" {
		t.Skipf("%s is not set: it is the number of idle connections, 1 for 10,000", soakEnv)
	}
	n, err := strconv.Atoi(value)
	require.NoError(t, err, soakEnv)
	if n == 1 {
		n = 10_000
	}
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if need := uint64(n) + 64; limit.Cur < need {
		t.Skipf("%d connections need %d file descriptors, the limit is %d", n, need, limit.Cur)
	}
	return n
}

// soak returns by how many KiB the memory of a server grows for each of n idle connections.
func soak(t *testing.T, kind string, n int) float64 {
	t.Helper()
	pid, addr, stop := startSoak(t, kind)
	defer stop()
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}()
	dial := func() {
		conn, err := dialFrom(net.IPv4(127, 0, 1, byte(len(conns)/5000)), addr)
		require.NoError(t, err)
		conns = append(conns, conn)
		soakGet(t, conn, "/")
	}
	for range 16 { // the first connections have costs that come only once
		dial()
	}
	soakGet(t, conns[0], "/gc")
	before := rss(t, pid)
	for len(conns) < n {
		dial()
	}
	soakGet(t, conns[0], "/gc")
	grown := rss(t, pid) - before

	others, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer others.Close()
	begun := time.Now()
	soakGet(t, others, "/")
	t.Logf("%s: beside %d idle connections a new one is answered in %v", kind, n, time.Since(begun))
	return float64(grown) / float64(n-16) / 1024
}

// dialFrom dials from an address of its own, because one alone may have too few ports. Its port is
// free again at once.
func dialFrom(ip net.IP, addr string) (net.Conn, error) {
	const bindAddressNoPort = 24 // IP_BIND_ADDRESS_NO_PORT: otherwise finding a port is slow
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}, Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, bindAddressNoPort, 1)
		})
		return errors.Join(err, failed)
	}}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return conn, conn.(*net.TCPConn).SetLinger(0)
}

// startSoak starts this test as a server, which ends with stop, or with this process.
func startSoak(t *testing.T, kind string) (pid int, addr string, stop func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), serveEnv+"="+kind)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	stop = func() {
		_ = in.Close()
		assert.NoError(t, cmd.Wait(), kind)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), "listening at "); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return cmd.Process.Pid, addr, stop
		}
	}
	stop()
	require.Fail(t, "the server has not started", kind)
	return 0, "", nil
}

// serveSoak serves until its input ends.
func serveSoak(t *testing.T, kind string) {
	l := listen(t)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gc" {
			debug.FreeOSMemory() // garbage of requests is not what a connection costs
		}
		_, _ = io.WriteString(w, "ok")
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	fmt.Println("listening at", l.Addr())
	if kind == "adapter" {
		require.NoError(t, adapter.Run(ctx, adapter.Server{Listener: l, Handler: handler}))
		return
	}
	s := &http.Server{Handler: handler} //nolint:gosec // without limits: the plain one
	context.AfterFunc(ctx, func() { _ = s.Close() })
	require.ErrorIs(t, s.Serve(l), http.ErrServerClosed)
}

func soakGet(t *testing.T, conn net.Conn, path string) {
	t.Helper()
	_, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
	require.NoError(t, err)
	res := answer(t, conn)
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode)
}

// rss returns the resident memory of a process in bytes.
func rss(t *testing.T, pid int) int {
	t.Helper()
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	require.NoError(t, err)
	fields := strings.Fields(string(statm))
	require.Greater(t, len(fields), 1)
	pages, err := strconv.Atoi(fields[1])
	require.NoError(t, err)
	return pages * os.Getpagesize()
}
