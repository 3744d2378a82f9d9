// Package auth decides who may call an endpoint: [Require] verifies who calls, and [Allow] whether
// that caller may. Both are decorators, for the Guards of an endpoint, which run before the request
// body is read, or for any pipe.
package auth
