// Package arch holds the policies of the code base as tests: who may import whom, and what a package must have.
package arch
