"""Send-side congestion control of one transport (draft-ietf-rmcat-gcc-02), pure cores in given time.

`feedback` reads what a receiver reports, `sent` keeps what was sent until it is reported, `estimator` is the facade
over the rest. Nothing in here sends.
"""
