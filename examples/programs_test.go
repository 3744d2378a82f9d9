// Package examples_test builds the programs and uses them as their users would.
package examples_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var bin string // where the programs are

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	var err error
	if bin, err = os.MkdirTemp("", "sluice-examples"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(bin)
	if out, err := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "./...").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s\n%v\n", out, err)
		return 1
	}
	return m.Run()
}

// output is what a program printed so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start runs a program until the test ends; then SIGTERM has to end it with status 0.
func start(t *testing.T, name string, args ...string) *output {
	t.Helper()
	out := new(output)
	cmd := exec.Command(filepath.Join(bin, name), args...)
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		assert.NoError(t, cmd.Wait(), "%s did not end with status 0: %s", name, out)
	})
	return out
}

// freeAddr returns an address that nobody listens on. Its port is below those that a system gives
// to listeners and clients that ask for any, so nobody gets it before the program does.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err == nil {
			defer closeWholly(l)
			return l.Addr().String()
		}
	}
	require.Fail(t, "no port is free")
	return ""
}

// closeWholly closes a listener while no program is being started. Such a program has a copy of the
// listener until it runs, which would go on accepting connections.
func closeWholly(l net.Listener) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	_ = l.Close()
}

// listening waits until somebody accepts connections.
func listening(t *testing.T, addr string, out *output) {
	t.Helper()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 10*time.Second, 5*time.Millisecond, "nobody listens on %s: %s", addr, out)
}

type answer struct {
	status int
	header http.Header
	body   string
}

func do(t *testing.T, method, url, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return answer{res.StatusCode, res.Header, string(b)}
}

func TestProgramQuickstart(t *testing.T) {
	t.Parallel()
	addr, admin := freeAddr(t), freeAddr(t)
	out := start(t, "quickstart", "-addr", addr, "-admin", admin)
	listening(t, addr, out)
	listening(t, admin, out)
	gateway, operators := "http://"+addr, "http://"+admin

	page := do(t, "GET", gateway+"/users/42/page", "")
	assert.Equal(t, 200, page.status)
	assert.Equal(t, "true", page.header.Get("X-Completed"))
	var got struct {
		ID     string           `json:"id"`
		Name   string           `json:"name"`
		Orders []map[string]any `json:"orders"`
		Recs   map[string]any   `json:"recs"`
	}
	require.NoError(t, json.Unmarshal([]byte(page.body), &got))
	assert.Equal(t, "42", got.ID)
	assert.NotEmpty(t, got.Name)
	assert.Len(t, got.Orders, 2)
	assert.Equal(t, map[string]any{"items": []any{map[string]any{"id": "p-1"}, map[string]any{"id": "p-2"}}}, got.Recs)

	for _, base := range []string{gateway, operators} {
		assert.Equal(t, 200, do(t, "GET", base+"/healthz", "").status)
		assert.Equal(t, 200, do(t, "GET", base+"/readyz", "").status)
	}
	assert.Contains(t, do(t, "GET", operators+"/debug/plan", "").body, "audit")
	assert.Contains(t, do(t, "GET", operators+"/debug/plan?format=text", "").body, "merge (3 parts), in parallel")
	assert.True(t, strings.HasPrefix(do(t, "GET", operators+"/debug/plan?format=mermaid", "").body, "flowchart TD"))
	assert.True(t, json.Valid([]byte(do(t, "GET", operators+"/debug/plan?format=json", "").body)))
	assert.Equal(t, 404, do(t, "GET", gateway+"/debug/plan", "").status)
	assert.Contains(t, out.String(), "/users/a%00b/page             # refused: 400")
	assert.Equal(t, 400, do(t, "GET", gateway+"/users/a%00b/page", "").status)
	assert.Contains(t, out.String(), "curl -i http://"+addr+"/users/42/page")

	assert.Equal(t, 204, do(t, "POST", operators+"/upstreams/recs/stop", "").status)
	require.Eventually(t, func() bool {
		page = do(t, "GET", gateway+"/users/42/page", "")
		return page.header.Get("X-Completed") == "false"
	}, 5*time.Second, 5*time.Millisecond)
	assert.Equal(t, 200, page.status)
	assert.Equal(t, "no-store", page.header.Get("Cache-Control"))
	assert.NotContains(t, page.body, "recs")

	assert.Equal(t, 204, do(t, "POST", operators+"/upstreams/users/stop", "").status)
	require.Eventually(t, func() bool {
		page = do(t, "GET", gateway+"/users/42/page", "")
		return page.status == 502
	}, 5*time.Second, 5*time.Millisecond)
	assert.Equal(t, "application/problem+json", page.header.Get("Content-Type"))
	assert.NotContains(t, page.body, "127.0.0.1")
}

func TestProgramPassthrough(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("X-Answer", "a")
		w.Header().Add("X-Answer", "b")
		w.WriteHeader(http.StatusTeapot)
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.RequestURI, r.Header.Get("X-Custom"), body)
	}))
	defer upstream.Close()
	for _, args := range [][]string{nil, {"-h2c"}} {
		addr := freeAddr(t)
		out := start(t, "passthrough", append([]string{"-addr", addr, "-upstream", upstream.URL}, args...)...)
		listening(t, addr, out)
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"} {
			got := do(t, method, "http://"+addr+"/a//b%2Fc/?z=1&a=2&a=%20", "hello", "X-Custom", "yes")
			assert.Equal(t, http.StatusTeapot, got.status)
			assert.Equal(t, []string{"a", "b"}, got.header.Values("X-Answer"))
			assert.Equal(t, method+" /a//b%2Fc/?z=1&a=2&a=%20 yes hello", got.body)
		}
	}
}

func TestProgramPassthroughKeepsAnswers(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("CDN-Cache-Control", "max-age=60")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Hop", "1")
		w.Header().Set("Connection", "X-Hop")
		fmt.Fprintf(w, "answer %d", calls.Add(1))
	}))
	defer upstream.Close()
	for _, args := range [][]string{nil, {"-cache"}} {
		calls.Store(0)
		addr := freeAddr(t)
		listening(t, addr, start(t, "passthrough", append([]string{"-addr", addr, "-upstream", upstream.URL}, args...)...))
		var got []string
		for _, path := range []string{"/?a=1", "/?a=1", "/?a=2"} {
			answer := do(t, "GET", "http://"+addr+path, "")
			assert.Empty(t, answer.header.Get("X-Hop"))
			got = append(got, answer.body)
		}
		if args == nil {
			assert.Equal(t, []string{"answer 1", "answer 2", "answer 3"}, got)
		} else {
			assert.Equal(t, []string{"answer 1", "answer 1", "answer 2"}, got)
		}
	}
}

func TestProgramPassthroughSpeaksHTTP2WithoutTLS(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") }))
	defer upstream.Close()
	addr := freeAddr(t)
	listening(t, addr, start(t, "passthrough", "-addr", addr, "-upstream", upstream.URL, "-h2c"))
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	defer client.CloseIdleConnections()
	res, err := client.Get("http://" + addr + "/")
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Equal(t, "HTTP/2.0 hello", res.Proto+" "+string(body))
}

func TestProgramAggregate(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	mux := http.NewServeMux()
	for _, name := range []string{"a", "b"} {
		mux.HandleFunc("/"+name, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, `{"%s":{"method":%q,"lang":%q,"page":%q,"body":%q}}`, name, r.Method, r.Header.Get("Accept-Language"), r.URL.RawQuery, body)
		})
	}
	mux.HandleFunc("/c", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/items/{id}/profile", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `[%q]`, r.PathValue("id"))
	})
	upstream := httptest.NewServer(mux)
	defer upstream.Close()
	defer close(hang)

	addr := freeAddr(t)
	listening(t, addr, start(t, "aggregate", "-addr", addr, "-upstream", upstream.URL, "-paths", "/a,/b",
		"-headers", "Accept-Language", "-query", "page"))
	base := "http://" + addr
	part := func(name, method, body string) string {
		return fmt.Sprintf(`"%s":{"method":%q,"lang":"de","page":"page=2","body":%q}`, name, method, body)
	}
	get := func(path string) answer {
		return do(t, "GET", base+path+"?page=2&x=3", "", "Accept-Language", "de", "X-Other", "1")
	}
	assert.Equal(t, "{"+part("a", "GET", "")+","+part("b", "GET", "")+"}", get("/merge").body)
	assert.Equal(t, `{"a":{`+part("a", "GET", "")+`},"b":{`+part("b", "GET", "")+`}}`, get("/group").body)
	assert.Equal(t, "{"+part("a", "GET", "")+"}", get("/one").body)
	assert.Equal(t, `["x/y"]`, get("/item/x%2Fy").body)
	posted := do(t, "POST", base+"/merge?page=2", "hello", "Accept-Language", "de")
	assert.Equal(t, "{"+part("a", "POST", "hello")+","+part("b", "POST", "hello")+"}", posted.body)

	slow := freeAddr(t)
	listening(t, slow, start(t, "aggregate", "-addr", slow, "-upstream", upstream.URL, "-paths", "/a,/c", "-timeout", "300ms"))
	assert.Equal(t, 504, do(t, "GET", "http://"+slow+"/merge", "").status)

	partial := freeAddr(t)
	listening(t, partial, start(t, "aggregate", "-addr", partial, "-upstream", upstream.URL, "-paths", "/a,/c", "-timeout", "300ms", "-optional"))
	got := do(t, "GET", "http://"+partial+"/merge", "")
	assert.Equal(t, 200, got.status)
	assert.Equal(t, "false", got.header.Get("X-Completed"))

	small := freeAddr(t)
	listening(t, small, start(t, "aggregate", "-addr", small, "-upstream", upstream.URL, "-paths", "/a,/b", "-max", "16"))
	assert.Equal(t, 502, do(t, "GET", "http://"+small+"/merge", "").status)
}

func TestProgramEmbed(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	out := start(t, "embed", "-addr", addr)
	listening(t, addr, out)
	assert.Equal(t, 201, do(t, "POST", "http://"+addr+"/notes", `{"author":"ada","text":"hello"}`).status)
	assert.JSONEq(t, `{"id":"1","author":"ada","text":"hello"}`, do(t, "GET", "http://"+addr+"/notes/1", "").body)
	joined := do(t, "GET", "http://"+addr+"/notes/1/by/ada", "")
	assert.JSONEq(t, `{"id":"1","text":"hello","author":{"name":"ada","role":"author"}}`, joined.body)
	assert.Equal(t, "notes", joined.header.Get("X-Served-By"), "the service's own middleware")
	require.Eventually(t, func() bool { return strings.Contains(out.String(), `people: heard of {"id":"1"`) }, 5*time.Second, 5*time.Millisecond)
}

func TestProgramReadme(t *testing.T) {
	t.Parallel()
	plan, err := exec.Command(filepath.Join(bin, "readme")).Output()
	require.NoError(t, err)
	source, err := os.ReadFile("readme/main.go")
	require.NoError(t, err)
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	from, to := bytes.Index(source, []byte("func mountAPI")), bytes.Index(source, []byte("func main"))
	assert.Contains(t, string(readme), string(bytes.TrimSpace(source[from:to])), "the program of the README is examples/readme")
	assert.Contains(t, string(readme), string(bytes.TrimSpace(plan)), "the plan of the README is what the program prints")
}
