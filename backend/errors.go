package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-go/sluice/backend/h1"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
)

// failed returns the error of a call that ended without a whole answer. If the context is done,
// that is the reason, whatever err says: it made everything else fail. A pool of hosts may say what it
// waited for.
func (l *leaf) failed(ctx context.Context, op string, err error) error {
	e := &proxy.Error{Backend: l.spec.Name, Op: op}
	if done := ctx.Err(); done != nil {
		e.Err = done
		if errors.Is(err, h1.ErrBusy) {
			e.Op = "wait"
		}
		if waited, ok := err.(*proxy.Error); ok && waited.Status == 0 && call.Is(waited, done) { //nolint:errorlint // as the transport returned it
			e.Err = foreign(waited)
		}
		return e
	}
	e.Err = foreign(err)
	if errors.Is(err, context.Canceled) {
		e.Status = http.StatusBadGateway // the caller did not cancel
	}
	return e
}

// phase returns "dial" for a failure to reach the upstream, and "send" for a later one.
func phase(err error) string {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return "dial"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "dial"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "dial"
	}
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok && e.Conn != nil { // of the first record; a later one may be behind a request
		return "dial"
	}
	return "send"
}

// foreign wraps an error whose text may contain bytes of an upstream or the URL that was called.
// The text of the wrapper leaves out the URL and escapes the bytes.
func foreign(err error) error {
	if _, ok := err.(*foreignError); ok || err == nil { //nolint:errorlint // only the outermost wrapping counts
		return err
	}
	return &foreignError{err}
}

type foreignError struct{ err error }

func (e *foreignError) Error() string {
	err := e.err
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return printable(err.Error())
}

func (e *foreignError) Unwrap() error { return e.err }

// printable returns s on one line, with every character escaped that is not printable, and short
// enough for a log.
func printable(s string) string {
	const most = 512
	plain := len(s) <= most
	for _, r := range s {
		plain = plain && r != utf8.RuneError && unicode.IsPrint(r)
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if b.Len() >= most {
			b.WriteString("…")
			break
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !unicode.IsPrint(r) && r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}
