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

	"github.com/sluice-go/sluice/proxy"
)

// failed returns the error of a call that ended without a whole answer. A context that is done is the reason before any
// other: what broke then broke because of it.
func (l *leaf) failed(ctx context.Context, op string, err error) error {
	e := &proxy.Error{Backend: l.spec.Name, Op: op}
	if done := ctx.Err(); done != nil {
		e.Err = done
		return e
	}
	e.Err = foreign(err)
	if errors.Is(err, context.Canceled) {
		e.Status = http.StatusBadGateway // the caller is still there
	}
	return e
}

// phase tells the failure to reach an upstream from that of an exchange.
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
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "dial"
	}
	return "send"
}

// foreign wraps an error whose text may hold bytes of an upstream or the URL that was called. Neither is in the text it
// shows.
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

// printable returns s on one line, with everything that is not printable escaped, and not too long for a log.
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
