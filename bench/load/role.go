package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/sluice-go/sluice/adapter"
)

// roleEnv tells a process of this program which role it has.
const roleEnv = "SLUICE_LOAD_ROLE"

// A role is what one process of a measurement does.
type role struct {
	Kind      string // "upstream", "gateway", "peer", "nginx" or "generator"
	Row       string // of the table, for a gateway and a peer
	Upstream  string // its base URL
	Transport string // of a gateway's backends
	Load      load   // of a generator
}

// place is where a process listens. It is the first line of its output.
type place struct {
	Addr  string
	Debug string // for its memory and its profiles; empty for nginx
}

// play plays the role that the environment names, until the standard input ends, which it does with
// the process that started this one. It returns false if there is none.
func play(ctx context.Context) (bool, error) {
	text := os.Getenv(roleEnv)
	if text == "" {
		return false, nil
	}
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return true, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if r.Kind == "generator" {
		t, err := r.Load.run(ctx)
		if err != nil {
			return true, err
		}
		return true, json.NewEncoder(os.Stdout).Encode(t)
	}
	if err := r.serve(ctx); err != nil {
		return true, fmt.Errorf("%s of %q: %w", r.Kind, r.Row, err)
	}
	return true, nil
}

func (r role) serve(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if r.Kind == "nginx" {
		return serveNginx(ctx, l, r.Upstream)
	}
	h, err := r.handler()
	if err != nil {
		return err
	}
	side, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := announce(place{Addr: l.Addr().String(), Debug: side.Addr().String()}); err != nil {
		return err
	}
	operators := &http.Server{Handler: newDebug(), ReadHeaderTimeout: 5 * time.Second}
	defer operators.Close()
	go func() { _ = operators.Serve(side) }()
	if r.Kind == "gateway" {
		return adapter.Run(ctx, adapter.Server{Listener: l, Handler: h, DrainTimeout: 100 * time.Millisecond})
	}
	s := &http.Server{Handler: h, ErrorLog: silent(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// announce tells the process that started this one where it listens.
func announce(p place) error { return json.NewEncoder(os.Stdout).Encode(p) }

func (r role) handler() (http.Handler, error) {
	if r.Kind == "upstream" {
		return newUpstream(), nil
	}
	i := slices.IndexFunc(table, func(one row) bool { return one.name == r.Row })
	if i < 0 {
		return nil, errors.New("no such row")
	}
	if r.Kind == "peer" {
		return table[i].peer(r.Upstream, nil)
	}
	transport, err := newTransport(r.Transport)
	if err != nil {
		return nil, err
	}
	return table[i].gateway(r.Upstream, transport)
}

// memory is what a process says about its heap.
type memory struct {
	Mallocs uint64 // since it began
	InUse   uint64 // bytes of heap and stacks
}

// newDebug serves the profiles and the memory of this process.
func newDebug() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/profile", pprof.Profile)
	mux.Handle("/allocs", pprof.Handler("allocs"))
	mux.HandleFunc("/memory", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("collect") != "" {
			debug.FreeOSMemory() // twice, because pools keep what they hold for one collection
			debug.FreeOSMemory()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		_ = json.NewEncoder(w).Encode(memory{Mallocs: m.Mallocs, InUse: m.HeapInuse + m.StackInuse})
	})
	return mux
}

// A process is another role of this program.
type process struct {
	place
	role role
	cmd  *exec.Cmd
	in   io.Closer
}

// command prepares a process in a role, which ends with its standard input.
func command(ctx context.Context, r role) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), roleEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// start starts a server and waits until it listens.
func start(ctx context.Context, r role) (*process, error) {
	cmd, err := command(ctx, r)
	if err != nil {
		return nil, err
	}
	p := &process{role: r, cmd: cmd}
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &p.place)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s of %q has not started: %w", r.Kind, r.Row, err), p.stop())
	}
	return p, nil
}

func (p *process) stop() error {
	_ = p.in.Close()
	return p.cmd.Wait()
}

// used returns the processor time of the process and of its children.
func (p *process) used() (time.Duration, error) { return processorTime(p.cmd.Process.Pid) }

// resident returns the resident memory of the process and of its children in bytes.
func (p *process) resident() (int64, error) { return residentBytes(p.cmd.Process.Pid) }

// memory asks the process for its memory, after a collection of garbage or without.
func (p *process) memory(ctx context.Context, collect bool) (m memory, err error) {
	if p.Debug == "" {
		return m, nil
	}
	path := "/memory"
	if collect {
		path += "?collect=1"
	}
	body, err := p.get(ctx, path)
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(body, &m)
}

// get gets a path of the side for operators.
func (p *process) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Debug+path, nil)
	if err != nil {
		return nil, err
	}
	a, err := fetch(req)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d: %s", path, a.status, a.body)
	}
	return a.body, nil
}
