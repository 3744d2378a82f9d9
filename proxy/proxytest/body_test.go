package proxytest_test

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/proxy/proxytest"
)

func TestABodyCounts(t *testing.T) {
	t.Parallel()
	b := proxytest.NewBody("rows")
	b.AssertOpen(t)
	assert.Equal(t, "the body was closed 0 times, want once", failed(b.AssertClosedOnce))
	got, err := io.ReadAll(b)
	assert.NoError(t, err)
	assert.Equal(t, "rows", string(got))
	assert.Equal(t, 2, b.Reads())
	assert.NoError(t, b.Close())
	b.AssertClosedOnce(t)
	assert.Equal(t, "the body was closed once, want it open", failed(b.AssertOpen))
	_, err = b.Read(make([]byte, 1))
	assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
	assert.Error(t, b.Close())
	assert.Equal(t, "the body was closed 2 times, want once", failed(b.AssertClosedOnce))
	assert.Equal(t, 2, b.Closes())
}

func TestABrokenBodyFailsWhereItsTextEnds(t *testing.T) {
	t.Parallel()
	reset := errors.New("reset")
	got, err := io.ReadAll(proxytest.NewBrokenBody("ro", reset))
	assert.Equal(t, "ro", string(got))
	assert.ErrorIs(t, err, reset)
}
