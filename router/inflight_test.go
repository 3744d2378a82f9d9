package router_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/router"
)

// proves T5
func TestInFlightRefusesTheRequestAboveTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		blocks := make(chan struct{})
		h := around(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-blocks
			}
		}), router.InFlight(2))
		for range 2 {
			go h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/slow", nil))
		}
		synctest.Wait()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		assert.Equal(t, http.StatusServiceUnavailable, w.Code)
		assert.Equal(t, "1", w.Header().Get("Retry-After"))
		assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		close(blocks)
		synctest.Wait()
		assert.Equal(t, http.StatusOK, statusOf(h, httptest.NewRequest("GET", "/", nil)))
	})
}

// proves T5
func TestInFlightGivesItsPlaceBack(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){
		"after a return":   func() {},
		"after a panic":    func() { panic("bug") },
		"after an abort":   func() { panic(http.ErrAbortHandler) },
		"after its Goexit": runtime.Goexit,
	} {
		calls := 0
		h := around(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			calls++
			end()
		}), router.InFlight(1))
		for range 3 {
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { _ = recover() }()
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			}()
			<-done
		}
		assert.Equal(t, 3, calls, name)
	}
}
