package redis_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/endpoint/redis"
)

func TestMain(m *testing.M) {
	goredis.SetLogger(silent{}) // go-redis logs each failed dial
	goleak.VerifyTestMain(m)
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

var errReset = errors.New("connection reset by peer")

// A fake is a client whose scripts are answered by eval. It has no other method.
type fake struct {
	goredis.UniversalClient
	eval func(ctx context.Context) (any, error)
}

func (f *fake) EvalSha(ctx context.Context, _ string, _ []string, _ ...any) *goredis.Cmd {
	cmd := goredis.NewCmd(ctx)
	value, err := f.eval(ctx)
	cmd.SetVal(value)
	cmd.SetErr(err)
	return cmd
}

// options are those of a client in tests, which does nothing again.
func options(network, addr string) *goredis.Options {
	return &goredis.Options{Network: network, Addr: addr, ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1}
}

func closing[C goredis.UniversalClient](t testing.TB, client C) C {
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return client
}

// small returns a client of a Redis in this process.
func small(t testing.TB) (*miniredis.Miniredis, *goredis.Client) {
	server := miniredis.RunT(t)
	return server, closing(t, goredis.NewClient(options("tcp", server.Addr())))
}

// patient is a spec for tests that are about something else than time.
func patient(client goredis.UniversalClient) redis.Spec {
	return redis.Spec{Client: client, Timeout: time.Minute}
}

// missing skips a test for which the machine lacks something, or fails it in CI.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// kinds returns a spec for a client of each kind.
func kinds(t testing.TB) map[string]redis.Spec {
	server, one := small(t)
	other, _ := small(t)
	specs := map[string]redis.Spec{
		"one":     patient(one),
		"cluster": patient(closing(t, goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{server.Addr()}, ContextTimeoutEnabled: true}))),
		"ring": patient(closing(t, goredis.NewRing(&goredis.RingOptions{
			Addrs: map[string]string{"a": server.Addr(), "b": other.Addr()}, ContextTimeoutEnabled: true}))),
	}
	const addr = "127.0.0.1:6379"
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Logf("there is no Redis at %s: %v", addr, err)
	} else {
		require.NoError(t, conn.Close())
		specs["Redis"] = patient(closing(t, goredis.NewClient(options("tcp", addr))))
	}
	prefix := "sluice-test:" + rand.Text() + ":"
	for name, spec := range specs {
		spec.Prefix = prefix + name + ":"
		specs[name] = spec
	}
	return specs
}

// A process is a Redis of the test's own, behind a socket that stays the same when it is started
// again.
type process struct {
	dir string
	cmd *exec.Cmd
}

// own starts a Redis.
func own(t testing.TB) *process {
	if _, err := exec.LookPath("redis-server"); err != nil {
		missing(t, "there is no redis-server: %v", err)
	}
	dir, err := os.MkdirTemp("", "redis") // that of the test would make the path of a socket too long
	require.NoError(t, err)
	p := &process{dir: dir}
	t.Cleanup(func() {
		p.kill(t)
		assert.NoError(t, os.RemoveAll(dir))
	})
	p.start(t)
	return p
}

func (p *process) socket() string { return filepath.Join(p.dir, "s") }

// start starts the process, and returns when it accepts connections.
func (p *process) start(t testing.TB) {
	p.cmd = exec.Command("redis-server", "--port", "0", "--unixsocket", p.socket(), "--save", "", "--appendonly", "yes",
		"--appendfsync", "always", "--dir", p.dir)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "ready to accept connections at") {
			return
		}
	}
	require.Fail(t, "redis-server has ended", fmt.Sprint(lines.Err()))
}

// kill ends the process, if it runs.
func (p *process) kill(t testing.TB) {
	if p.cmd == nil {
		return
	}
	assert.NoError(t, p.cmd.Process.Kill())
	_ = p.cmd.Wait() // "signal: killed"
	p.cmd = nil
}

func (p *process) client(t testing.TB) *goredis.Client {
	return closing(t, goredis.NewClient(options("unix", p.socket())))
}
