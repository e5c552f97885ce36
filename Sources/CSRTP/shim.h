// libsrtp2: what is received is unprotected by it, for its replay and rollover rules.
#pragma once
#include <srtp2/srtp.h>
