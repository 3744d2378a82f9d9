package endpoint

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
)

// cacheControl makes a Cache-Control private unless it says who may keep the answer.
func cacheControl(s string) string {
	if s == "" {
		return ""
	}
	for directive := range directives(s) {
		name, _, _ := strings.Cut(directive, "=")
		switch strings.ToLower(name) {
		case "public", "private", "s-maxage", "no-store":
			return s
		}
	}
	return "private, " + s
}

// faultsOfCacheControl returns what is wrong with a Cache-Control: a cache ignores a directive that
// it does not know or cannot read, and keeps the answer for another time than was meant.
func faultsOfCacheControl(s string) (faults []error) {
	if s == "" {
		return nil
	}
	if !field.IsValue(s) {
		return []error{errors.New("CacheControl has a control character")}
	}
	seen := map[string]bool{}
	for directive := range directives(s) {
		name, value, hasValue := strings.Cut(directive, "=")
		lower := strings.ToLower(name)
		fault := ""
		switch lower {
		case "max-age", "s-maxage", "stale-while-revalidate", "stale-if-error": // RFC 9111, RFC 5861
			if !isSeconds(value) {
				fault = "needs a number of seconds"
			}
		case "no-cache", "private":
			if hasValue && !areQuotedNames(value) {
				fault = "needs names in quotes"
			}
		case "public", "no-store", "no-transform", "must-revalidate", "proxy-revalidate", "must-understand", "immutable": // RFC 8246
			if hasValue {
				fault = "takes no value"
			}
		default:
			fault = "is not known"
		}
		if fault == "" && seen[lower] {
			directive, fault = name, "is there twice"
		}
		seen[lower] = true
		if fault != "" {
			faults = append(faults, fmt.Errorf("CacheControl: %q %s", directive, fault))
		}
	}
	return faults
}

// directives splits a Cache-Control at its commas, but for those in quotes.
func directives(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		quoted, from := false, 0
		for i := 0; i <= len(s); i++ {
			switch {
			case i < len(s) && s[i] == '"':
				quoted = !quoted
			case i == len(s) || s[i] == ',' && !quoted:
				if !yield(strings.Trim(s[from:i], " \t")) {
					return
				}
				from = i + 1
			}
		}
	}
}

// isSeconds reports whether s is a number of seconds that every cache can hold (RFC 9111, section
// 1.2.2).
func isSeconds(s string) bool {
	_, err := strconv.ParseUint(s, 10, 31)
	return err == nil
}

// areQuotedNames reports whether s is a list of field names in quotes.
func areQuotedNames(s string) bool {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return false
	}
	for name := range strings.SplitSeq(s[1:len(s)-1], ",") {
		if !field.IsToken(strings.Trim(name, " \t")) {
			return false
		}
	}
	return true
}
