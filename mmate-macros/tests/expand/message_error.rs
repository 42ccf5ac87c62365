const _: () = {
    use ::mmate::__private as __mmate;
    #[automatically_derived]
    impl __mmate::MessageError for OrderError {
        fn class(&self) -> __mmate::ErrorClass {
            match self {
                Self::Warehouse { .. } => __mmate::ErrorClass::Transient,
                Self::Blocked { .. } => {
                    __mmate::ErrorClass::Rejected {
                        code: "BLOCKED",
                    }
                }
                Self::Storage { 0: __inner, .. } => {
                    use __mmate::AsError as _;
                    __mmate::class_of(__inner.as_error())
                }
                Self::Unclassified { .. } => __mmate::ErrorClass::Unknown,
            }
        }
        fn behind(
            &self,
        ) -> ::core::option::Option<&(dyn ::core::error::Error + 'static)> {
            match self {
                Self::Warehouse { .. } => ::core::option::Option::None,
                Self::Blocked { .. } => ::core::option::Option::None,
                Self::Storage { 0: __inner, .. } => {
                    use __mmate::AsError as _;
                    ::core::option::Option::Some(__inner.as_error())
                }
                Self::Unclassified { .. } => ::core::option::Option::None,
            }
        }
        fn outcome_is_unknown(&self) -> bool {
            match self {
                Self::Warehouse { 0: __inner, .. } => {
                    use __mmate::AsError as _;
                    __mmate::outcome_is_unknown(__inner.as_error())
                }
                Self::Blocked { .. } => false,
                Self::Storage { 0: __inner, .. } => {
                    use __mmate::AsError as _;
                    __mmate::outcome_is_unknown(__inner.as_error())
                }
                Self::Unclassified { .. } => false,
            }
        }
    }
    __mmate::inventory::submit! {
        __mmate::ErrorEntry::of:: < OrderError > ()
    }
};
