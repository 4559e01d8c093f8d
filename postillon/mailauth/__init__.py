"""Who really sent it: SPF, DKIM, DMARC, ARC, iprev. DNS only through a `seams.Resolver` argument."""
