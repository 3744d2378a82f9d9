package redis_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
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

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy/redis"
)

func TestMain(m *testing.M) {
	goredis.SetLogger(silent{}) // go-redis logs each failed dial
	goleak.VerifyTestMain(m)
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

var errReset = errors.New("connection reset by peer")

func answers(context.Context, *proxy.Request) (*proxy.Response, error) {
	return &proxy.Response{Status: http.StatusOK}, nil
}

// byHeader is a key that the tests choose.
func byHeader(_ context.Context, req *proxy.Request) (string, error) {
	return req.Header.Get("X-Key"), nil
}

func keyed(key string) *proxy.Request {
	req := proxy.NewRequest("GET", "/")
	req.Header.Set("X-Key", key)
	return req
}

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

// granted is what the script answers for a full bucket of a call each second.
func granted(context.Context) (any, error) { return []any{int64(1), int64(1_000_000), int64(0)}, nil }

// options are those of a client in tests, which does nothing again.
func options(network, addr string) *goredis.Options {
	return &goredis.Options{Network: network, Addr: addr, ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1}
}

func closing(t testing.TB, client *goredis.Client) *goredis.Client {
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

// shared returns a client of the Redis of this machine, and a prefix whose keys are deleted at the
// end.
func shared(t testing.TB) (*goredis.Client, string) {
	const addr = "127.0.0.1:6379"
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		missing(t, "there is no Redis at %s: %v", addr, err)
	}
	require.NoError(t, conn.Close())
	client := closing(t, goredis.NewClient(options("tcp", addr)))
	prefix := "sluice-test:" + rand.Text() + ":"
	t.Cleanup(func() {
		keys := client.Scan(context.Background(), 0, prefix+"*", 1000).Iterator()
		for keys.Next(context.Background()) {
			assert.NoError(t, client.Del(context.Background(), keys.Val()).Err())
		}
		assert.NoError(t, keys.Err())
	})
	return client, prefix
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
	p.cmd = exec.Command("redis-server", "--port", "0", "--unixsocket", p.socket(), "--save", "", "--appendonly", "no", "--dir", p.dir)
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

// usual returns a client as the documentation has it, which does things again.
func (p *process) usual(t testing.TB) *goredis.Client {
	return closing(t, goredis.NewClient(&goredis.Options{Network: "unix", Addr: p.socket(), ContextTimeoutEnabled: true}))
}
