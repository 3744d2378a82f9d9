package router

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/pipe"
)

// A SecureSpec says what [Secure] tells browsers. The zero value is right for an API. For each text, "" is
// the default and "-" leaves the field out.
type SecureSpec struct {
	// Frame is X-Frame-Options, DENY or SAMEORIGIN; "" is DENY.
	Frame string

	// ContentSecurityPolicy is the policy for an answer that a browser shows as a page. "" is "default-src
	// 'none'; frame-ancestors 'none'", which suits an API, with frame-ancestors set by Frame. Pages need a
	// policy of their own.
	ContentSecurityPolicy string

	// ReferrerPolicy is the Referrer-Policy; "" is no-referrer.
	ReferrerPolicy string

	// HSTS is the max-age of Strict-Transport-Security (RFC 6797), in whole seconds: how long browsers use
	// https only. 0 is 365 days, and a negative HSTS leaves the field out. It is sent only to clients that
	// came by https, as [endpoint.ClientOf] says.
	HSTS time.Duration

	// HSTSSubdomains says that all subdomains use https too. HSTSPreload asks browser vendors to ship the
	// name in their preload lists; it needs HSTSSubdomains and an HSTS of 365 days or more.
	HSTSSubdomains bool
	HSTSPreload    bool
}

const (
	year     = 365 * 24 * time.Hour
	leaveOut = "-"
)

// Secure returns a middleware that adds security headers: X-Content-Type-Options: nosniff, X-Frame-Options,
// Content-Security-Policy, Referrer-Policy, and over https Strict-Transport-Security. They are on every
// answer from inside it, including refusals and tunnels.
//
// An endpoint keeps fields that a middleware has set, whatever an upstream says. Another handler can
// overwrite them. A value that no header can hold is a fault in the plan, and so is an HSTS that is not
// allowed.
func Secure(s SecureSpec) func(http.Handler) http.Handler {
	fields, hsts := s.fields(), s.hsts()
	step := pipe.Step{Kind: "secure", Detail: s.detail(hsts), Acts: pipe.Out}
	return described(step, s.faults(), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		h := w.Header()
		values := make([]string, 0, len(fields)+1) // one array for all
		set := func(name, value string) {
			values = append(values, value)
			h[name] = values[len(values)-1 : len(values) : len(values)]
		}
		for _, f := range fields {
			set(f.name, f.value)
		}
		if hsts != "" && endpoint.ClientOf(r).Scheme == "https" {
			set("Strict-Transport-Security", hsts)
		}
		next.ServeHTTP(w, r)
	})
}

type secureField struct{ name, value string }

// fields returns what is sent whatever the scheme is.
func (s SecureSpec) fields() []secureField {
	all := []secureField{{"X-Content-Type-Options", "nosniff"}}
	add := func(name, value, standard string) {
		if value == "" {
			value = standard
		}
		if value != leaveOut {
			all = append(all, secureField{name, value})
		}
	}
	add("X-Frame-Options", s.Frame, "DENY")
	add("Content-Security-Policy", s.ContentSecurityPolicy, s.policy())
	add("Referrer-Policy", s.ReferrerPolicy, "no-referrer")
	return all
}

// policy returns the default policy.
func (s SecureSpec) policy() string {
	const nothing = "default-src 'none'"
	switch s.Frame {
	case "SAMEORIGIN":
		return nothing + "; frame-ancestors 'self'"
	case leaveOut:
		return nothing
	}
	return nothing + "; frame-ancestors 'none'"
}

func (s SecureSpec) maxAge() time.Duration {
	if s.HSTS == 0 {
		return year
	}
	return s.HSTS
}

// hsts returns the value of Strict-Transport-Security, or "" for none.
func (s SecureSpec) hsts() string {
	if s.HSTS < 0 {
		return ""
	}
	value := "max-age=" + strconv.FormatInt(int64(s.maxAge()/time.Second), 10)
	if s.HSTSSubdomains {
		value += "; includeSubDomains"
	}
	if s.HSTSPreload {
		value += "; preload"
	}
	return value
}

func (s SecureSpec) detail(hsts string) string {
	if hsts == "" {
		return "no HSTS"
	}
	return "HSTS " + hsts
}

func (s SecureSpec) faults() (faults []error) {
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("router: Secure: "+format, args...))
	}
	switch s.Frame {
	case "", "DENY", "SAMEORIGIN", leaveOut:
	default:
		fault("Frame is %q, want DENY or SAMEORIGIN", s.Frame)
	}
	if !field.IsValue(s.ContentSecurityPolicy) {
		fault("ContentSecurityPolicy %q cannot stand in a header", s.ContentSecurityPolicy)
	}
	if !field.IsValue(s.ReferrerPolicy) {
		fault("ReferrerPolicy %q cannot stand in a header", s.ReferrerPolicy)
	}
	if s.HSTS > 0 && s.HSTS < time.Second {
		fault("HSTS is %v, less than a second", s.HSTS)
	}
	if s.HSTSSubdomains && s.HSTS < 0 && !s.HSTSPreload {
		fault("HSTSSubdomains has no effect without HSTS")
	}
	if s.HSTSPreload && (!s.HSTSSubdomains || s.HSTS < 0 || s.maxAge() < year) {
		fault("HSTSPreload needs HSTSSubdomains and an HSTS of 365 days or more")
	}
	return faults
}
