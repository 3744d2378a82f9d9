package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A program that has served, and whose upstreams were broken, leaves nothing behind.
func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for _, view := range []string{"off", "lines", "tty"} {
		t.Run(view, func(t *testing.T) {
			t.Parallel()
			name := filepath.Join(t.TempDir(), "out")
			out, err := os.Create(name)
			require.NoError(t, err)
			defer out.Close()
			in, err := os.Open(os.DevNull)
			require.NoError(t, err)
			defer in.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				ended <- run(ctx, options{addr: "127.0.0.1:0", admin: "127.0.0.1:0", load: 50, view: view}, in, out)
			}()

			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
			var public, admin string
			require.Eventually(t, func() bool {
				text, err := os.ReadFile(name)
				require.NoError(t, err)
				urls := regexp.MustCompile(`http://(127\.0\.0\.1:\d+)/(item/42|stats)\n| http://(127\.0\.0\.1:\d+)/item`).FindAllStringSubmatch(string(text), -1)
				if len(urls) < 2 {
					return false
				}
				public, admin = urls[0][3], urls[1][1]
				return true
			}, 10*time.Second, 5*time.Millisecond)
			for _, path := range []string{"/item/1", "/article/1", "/limited/ada"} {
				res, err := client.Get("http://" + public + path)
				require.NoError(t, err)
				_, _ = io.Copy(io.Discard, res.Body)
				require.NoError(t, res.Body.Close())
				assert.Contains(t, []int{http.StatusOK, http.StatusGatewayTimeout}, res.StatusCode, path) // a try has 300ms
			}
			for _, fault := range []string{"a?hang=1", "b?crash=1", "articles?cut=1", "orders?latency=1h"} {
				req, err := http.NewRequest(http.MethodPut, "http://"+admin+"/fault/"+fault, nil)
				require.NoError(t, err)
				res, err := client.Do(req)
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
				assert.Equal(t, http.StatusNoContent, res.StatusCode, fault)
			}
			cancel()
			select {
			case err := <-ended:
				assert.NoError(t, err)
			case <-time.After(20 * time.Second):
				require.Fail(t, "it does not end")
			}
		})
	}
}

func TestOptionsThatMeanNothingAreRefused(t *testing.T) {
	t.Parallel()
	err := run(t.Context(), options{load: -1, view: "html"}, os.Stdin, os.Stdout)
	assert.EqualError(t, err, "-load is -1, want 0 or more\n-view is \"html\", want tty, lines or off")
}
