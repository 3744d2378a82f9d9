package bench_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/bench/byhand"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
)

const gigabyte = 1 << 30

// source answers with n bytes without announcing the length.
func source(n int) http.Handler {
	block := bytes.Repeat([]byte("0123456789abcdef"), 2<<10)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for left := n; left > 0; left -= len(block) {
			if _, err := w.Write(block[:min(left, len(block))]); err != nil {
				return
			}
		}
	})
}

// residentKB returns the resident memory of the process, or false where /proc does not tell.
func residentKB() (int, bool) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	_, rest, found := strings.Cut(string(status), "VmRSS:")
	if !found {
		return 0, false
	}
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	return kb, err == nil
}

// drain reads n bytes through a gateway over loopback, and returns the most by which the memory of
// the process grew meanwhile, in KiB.
func drain(tb testing.TB, gateway http.Handler, n int) (grown int) {
	tb.Helper()
	srv := httptest.NewServer(gateway)
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	debug.FreeOSMemory()
	before, _ := residentKB()
	res, err := client.Get(srv.URL + "/")
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	read := 0
	for buf := make([]byte, 64<<10); ; {
		k, err := res.Body.Read(buf)
		if read += k; read%(32<<20) < k {
			now, _ := residentKB()
			grown = max(grown, now-before)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if read != n {
		tb.Fatalf("read %d bytes, want %d", read, n)
	}
	return grown
}

func gateways(tb testing.TB, upstream string) map[string]http.Handler {
	tb.Helper()
	transport := backend.NewDefaultTransport()
	tb.Cleanup(transport.CloseIdleConnections)
	p := pipe.Check(backend.HTTP{Transport: transport}.New(backend.Spec{Name: "upstream", URL: upstream + "/{*}", Decode: backend.Passthrough}))
	h, err := endpoint.New(endpoint.Spec{Proxy: p, Stream: true})
	if err != nil {
		tb.Fatal(err)
	}
	to, err := url.Parse(upstream)
	if err != nil {
		tb.Fatal(err)
	}
	peer := &httputil.ReverseProxy{
		Transport: transport, BufferPool: &byhand.Buffers{}, FlushInterval: -1,
		Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(to) },
	}
	return map[string]http.Handler{"sluice": h, "ReverseProxy-pool": peer}
}

func TestAGigabyteStreamsInConstantMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("a gigabyte takes some seconds")
	}
	if _, ok := residentKB(); !ok {
		t.Skip("the system does not tell the memory of a process")
	}
	upstream := httptest.NewServer(source(gigabyte))
	defer upstream.Close()
	if grown := drain(t, gateways(t, upstream.URL)["sluice"], gigabyte); grown > 32<<10 {
		t.Errorf("the process grew by %d KiB, want 32 MiB at most", grown)
	}
}

func BenchmarkStream(b *testing.B) {
	upstream := httptest.NewServer(source(gigabyte))
	defer upstream.Close()
	all := gateways(b, upstream.URL)
	for _, name := range []string{"sluice", "ReverseProxy-pool"} {
		b.Run(fmt.Sprintf("1GB/%s", name), func(b *testing.B) {
			b.SetBytes(gigabyte)
			b.ReportAllocs()
			grown, before := 0, processorTime(b)
			for b.Loop() {
				grown = max(grown, drain(b, all[name], gigabyte))
			}
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(grown)/1024, "MiB-grown")
		})
	}
}
